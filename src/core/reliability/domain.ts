/** What reliability's functions accept: shares, counts, rates and times; anything else is refused in clear words. */

import { MeshError } from "../../base/error.ts";

/** A probability, 0 … 1. */
export function share(what: string, value: number): void {
  if (!(value >= 0 && value <= 1)) refuse(`${what} must lie from 0 to 1, got ${value}`);
}

/** A probability that is neither 0 nor 1. */
export function inside(what: string, value: number): void {
  if (!(value > 0 && value < 1)) refuse(`${what} must lie above 0 and below 1, got ${value}`);
}

export function positive(what: string, value: number): void {
  if (!(value > 0 && Number.isFinite(value))) refuse(`${what} must be above 0, got ${value}`);
}

export function notNegative(what: string, value: number): void {
  if (!(value >= 0 && Number.isFinite(value))) refuse(`${what} must be at least 0, got ${value}`);
}

export function count(what: string, value: number, least: number): void {
  if (!(Number.isSafeInteger(value) && value >= least))
    refuse(`${what} must be a whole number of at least ${least}, got ${value}`);
}

export function refuse(message: string): never {
  throw new MeshError("reliability.domain", message, { fault: "user" });
}
