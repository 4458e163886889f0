/** What the infotext says of the LoRAs that were applied. */
import type { AppliedLora } from './plan.ts';

/**
 * Returns the value of `Lora hashes`, e.g. `spo: 0123456789ab, other: …`; the name as the tag had it,
 * without the characters that would end it.
 *
 * @returns null when no hash is known
 */
export function describeLoraHashes(applied: readonly AppliedLora[]): string | null {
  const hashes = new Map<string, string>();
  for (const { name, hash } of applied) {
    if (hash !== null) hashes.set(name.replace(/[:,]/g, ''), hash);
  }
  const items = [...hashes].map(([name, hash]) => `${name}: ${hash}`);
  return items.length > 0 ? items.join(', ') : null;
}
