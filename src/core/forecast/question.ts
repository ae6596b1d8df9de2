/** What is asked of a forecast: a load, by itself or as a multiple of the live one, and a number of replicas. */

import { MeshError } from "../../base/error.ts";

export type AskedLoad =
  | { readonly kind: "times"; readonly factor: number }
  | { readonly kind: "rate"; readonly requestsPerSecond: number };

export interface Question {
  /** As it is, unless told. */
  readonly load?: AskedLoad;
  readonly replicas?: number;
}

const mostRequestsPerSecond = 1e9;
const mostReplicas = 10_000;

/** `40` (requests per second), `x2` or `×2` (times the live load). Throws `forecast.rps`. */
export function parseLoad(text: string): AskedLoad {
  const [, times, digits] = /^([x×]?)(\d+(?:\.\d+)?|\.\d+)$/i.exec(text.trim()) ?? [];
  const value = Number(digits);
  if (!(value > 0 && value <= mostRequestsPerSecond)) {
    throw new MeshError(
      "forecast.rps",
      `rps: want requests per second, as 40, or times the live load, as x2; got "${text}"`,
      { fault: "user" },
    );
  }
  return times === ""
    ? { kind: "rate", requestsPerSecond: value }
    : { kind: "times", factor: value };
}

/** A whole number from 1 to 10 000. Throws `forecast.replicas`. */
export function parseReplicas(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text.trim()) || value < 1 || value > mostReplicas) {
    throw new MeshError(
      "forecast.replicas",
      `replicas: want a whole number from 1 to ${mostReplicas}, got "${text}"`,
      { fault: "user" },
    );
  }
  return value;
}
