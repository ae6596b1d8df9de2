/**
 * When the table of tracked connections will be full, from its count of the last minutes.
 *
 * A straight line through the samples (least squares) gives growth, its standard error an interval of 90 %; what
 * remains of the table over the interval's ends is a span of time. Counts of successive seconds depend on each other
 * (a connection stays for minutes), which makes the plain standard error too small; so samples are first thinned to a
 * dozen means over equal spans.
 */

import type { ConnectionForecast, ConnectionTable } from "../../model/network-check.ts";

/** Spans whose means are the points of the line. */
const points = 12;
const leastPoints = 10;
/** Student's t for 90 % and 8 degrees of freedom. */
const t90 = 1.86;
/** Less time says nothing about a trend. */
const leastSpanMs = 30_000;

export function forecastConnections(
  node: string,
  { max, samples }: ConnectionTable,
): ConnectionForecast {
  const count = samples.at(-1)?.count ?? 0;
  const line = fitted(thinned(samples));
  if (line === undefined) return { node, count, max };
  const { mean, error } = line;
  const growth = { low: mean - t90 * error, mean, high: mean + t90 * error };
  const left = Math.max(0, max - count);
  if (growth.high <= 0) return { node, count, max, growth };
  const early = left / growth.high;
  return {
    ...{ node, count, max, growth },
    full: growth.low > 0 ? { early, late: left / growth.low } : { early },
  };
}

interface Point {
  /** Seconds. */
  readonly x: number;
  readonly y: number;
}

function thinned(samples: ConnectionTable["samples"]): readonly Point[] {
  const [first] = samples;
  const last = samples.at(-1);
  if (first === undefined || last === undefined || last.at - first.at < leastSpanMs) return [];
  const spanMs = (last.at - first.at + 1) / points;
  return Array.from({ length: points }, (_, index) =>
    samples.filter(({ at }) => Math.floor((at - first.at) / spanMs) === index),
  )
    .filter((span) => span.length > 0)
    .map((span) => ({
      x: meanOf(span.map(({ at }) => (at - first.at) / 1_000)),
      y: meanOf(span.map(({ count }) => count)),
    }));
}

/** Slope and its standard error; undefined of too few points. */
function fitted(
  line: readonly Point[],
): { readonly mean: number; readonly error: number } | undefined {
  if (line.length < leastPoints) return undefined;
  const middle = { x: meanOf(line.map(({ x }) => x)), y: meanOf(line.map(({ y }) => y)) };
  const spread = sumOf(line.map(({ x }) => (x - middle.x) ** 2));
  const mean = sumOf(line.map(({ x, y }) => (x - middle.x) * (y - middle.y))) / spread;
  const residual = sumOf(line.map(({ x, y }) => (y - middle.y - mean * (x - middle.x)) ** 2));
  return { mean, error: Math.sqrt(residual / (line.length - 2) / spread) };
}

function meanOf(values: readonly number[]): number {
  return sumOf(values) / values.length;
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
