/** UNet weights of requests by step and picture. */
import type { LoraRequest } from './tags.ts';
import { isWithin, type StepPlace, weightAt } from './weight-curve.ts';

/** A step of a pass, for one picture of the batch. */
export interface WeightPlace extends StepPlace {
  /** 0-based, within the batch. */
  picture: number;
}

/** Above any batch: from here on no two pictures share their weights. */
const MAX_PERIOD = 4096;

/** Whether a request's weight differs between steps or pictures. */
export function varies({ curves, window }: LoraRequest): boolean {
  return curves !== undefined || window !== undefined;
}

/** Returns a request's weight of the UNet's part. */
export function unetWeightAt(request: LoraRequest, place: WeightPlace): number {
  const { unet, curves, window } = request;
  if (window && !isWithin(window, place)) return 0;
  const curve = curves?.[place.picture % curves.length];
  return curve === undefined ? unet : weightAt(curve, place);
}

/** Returns the number of pictures after which the weights of all requests repeat. */
export function commonPeriod(requests: readonly LoraRequest[]): number {
  const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
  return requests
    .map(({ curves = [] }) => Math.max(1, curves.length))
    .reduce((a, b) => Math.min(MAX_PERIOD, (a / divisor(a, b)) * b), 1);
}
