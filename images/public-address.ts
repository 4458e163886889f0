/** Which addresses are of the public internet: what a server may call when strangers name it. */
import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import { BlockList, isIP } from 'node:net';

/** What no address of the public internet is in (IANA's special-purpose registries). */
const LOCAL = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const) {
  LOCAL.addSubnet(net, bits, 'ipv4');
}
/** Of IPv6 only 2000::/3 is global unicast; these parts of it are not, or hide an IPv4 address. */
const GLOBAL6 = new BlockList();
GLOBAL6.addSubnet('2000::', 3, 'ipv6');
const NOT_GLOBAL6 = new BlockList();
for (const [net, bits] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const) {
  NOT_GLOBAL6.addSubnet(net, bits, 'ipv6');
}

/** Returns whether an IP address belongs to the public internet. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !LOCAL.check(address, 'ipv4');
  return family === 6 && GLOBAL6.check(address, 'ipv6') && !NOT_GLOBAL6.check(address, 'ipv6');
}

/** The form of `dns.lookup` that `http.request` takes. */
type Lookup = (
  host: string,
  options: LookupOptions,
  done: (
    error: NodeJS.ErrnoException | null,
    address: string | LookupAddress[],
    family?: number,
  ) => void,
) => void;

/**
 * Makes a `dns.lookup` for `http.request` that refuses a name when any address of it is local. It
 * runs when the connection is made, so that a name cannot change its mind after a check.
 *
 * @param refuse  makes the error
 */
export function createPublicLookup(refuse: () => Error): Lookup {
  return (host, options, done) => {
    lookup(host, { ...options, all: true }, (error, addresses) => {
      if (error) return done(error, []);
      if (addresses.length === 0 || addresses.some(({ address }) => !isPublicAddress(address))) {
        return done(refuse(), []);
      }
      const [first] = addresses as [LookupAddress];
      if (options.all === true) done(null, addresses);
      else done(null, first.address, first.family);
    });
  };
}
