/** Always-on scripts of A1111 that have no effect through its API; their arguments are ignored. */
export const INERT_SCRIPTS: readonly string[] = ['extra options', 'refiner', 'sampler', 'seed'];
