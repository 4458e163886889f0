/** Always-on scripts of A1111 that have no effect through its API; their arguments are ignored. */
export const INERT_SCRIPTS: readonly string[] = [
  'extra options',
  // Spelled so there, too; options of the server switch it on.
  'Hypertile',
  'refiner',
  'sampler',
  'seed',
];

/** Whether a key of `alwayson_scripts` names one of them. */
export function isInert(title: string): boolean {
  return INERT_SCRIPTS.some((name) => name.toLowerCase() === title.toLowerCase());
}
