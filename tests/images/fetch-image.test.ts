import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { fetchImage, isImageAddress } from '../../images/fetch-image.ts';

let server: Server | null = null;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = null;
});

/** Serves on this computer; returns its address. */
async function serve(answer: RequestListener): Promise<string> {
  server = createServer(answer);
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.png`;
}

const everything = () => true;

describe('an address', () => {
  it.each([
    ['http://example.com/a.png', true],
    ['HTTPS://example.com', true],
    ['ftp://example.com', false],
    ['file:///etc/passwd', false],
    ['iVBORw0KGgo', false],
    ['data:image/png;base64,aHR0cDovLw==', false],
  ])('%s: %s', (text, is) => {
    expect(isImageAddress(text)).toBe(is);
  });
});

describe('a fetched picture', () => {
  it('is the body of the answer, asked for with the user agent', async () => {
    let agent: string | undefined;
    const address = await serve((req, res) => {
      agent = req.headers['user-agent'];
      res.end('picture');
    });
    expect((await fetchImage(address, 'tester/1', everything)).toString()).toBe('picture');
    expect(agent).toBe('tester/1');
  });

  it('is refused at a local address, by number and by name', async () => {
    const address = await serve((_req, res) => res.end('secret'));
    const named = address.replace('127.0.0.1', 'localhost');
    for (const asked of [address, named]) {
      await expect(fetchImage(asked, '')).rejects.toMatchObject({ code: 'LOCAL_ADDRESS' });
    }
  });

  it('follows no redirect and takes no other status', async () => {
    let visits = 0;
    const address = await serve((_req, res) => {
      visits += 1;
      res.writeHead(302, { Location: '/b.png' }).end();
    });
    await expect(fetchImage(address, '', everything)).rejects.toMatchObject({
      code: 'INVALID_ADDRESS',
      message: 'Invalid image url: the answer is 302',
    });
    expect(visits).toBe(1);
  });

  it('is cut off when it is larger than any picture', async () => {
    const address = await serve((_req, res) => {
      const part = Buffer.alloc(1024 * 1024);
      const write = () => {
        while (res.write(part));
        res.once('drain', write);
      };
      write();
    });
    await expect(fetchImage(address, '', everything)).rejects.toMatchObject({
      code: 'IMAGE_TOO_LARGE',
    });
  });

  it.each(['http://', 'http://user:password@example.com/a.png', 'http://a b/', 'https://'])(
    'is not there at %s',
    async (address) => {
      await expect(fetchImage(address, '', everything)).rejects.toMatchObject({
        code: 'INVALID_ADDRESS',
      });
    },
  );

  it('is not there when nobody answers', async () => {
    const address = await serve(() => {});
    server?.close();
    server?.closeAllConnections();
    await expect(fetchImage(address, '', everything)).rejects.toMatchObject({
      code: 'INVALID_ADDRESS',
    });
  });
});
