/**
 * How filters are put together: each is `(next) => handler`, and a stack reads top-down as a request travels.
 *
 * Stacks are built once per configuration. A handler must not keep anything of a request in itself; what it needs later
 * it puts on the exchange.
 */

import type { Exchange } from "./exchange.ts";

export type Handler = (exchange: Exchange) => void;
export type Filter = (next: Handler) => Handler;

/**
 * `filters` outermost first, around `last`. A filter that has nothing to do in this configuration is left undefined.
 */
export function stack(filters: readonly (Filter | undefined)[], last: Handler): Handler {
  return filters.reduceRight<Handler>(
    (next, filter) => (filter === undefined ? next : filter(next)),
    last,
  );
}
