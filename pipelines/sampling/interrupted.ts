/** Thrown through a sampler when the job is to stop; what was reached so far is still of use. */
export class Interrupted extends Error {
  readonly code = 'INTERRUPTED';

  constructor() {
    super('Sampling was interrupted.');
    this.name = 'Interrupted';
  }
}
