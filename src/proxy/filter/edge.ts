/**
 * Where clients are not of the mesh: how they came is said by who saw it, and not by themselves.
 *
 * As Envoy does with `use_remote_address`: the client's address is appended to `x-forwarded-for`, and
 * `x-forwarded-proto` is the scheme that was spoken. The router writes both (router.ts), and lets nothing pass that only
 * proxies may say (`proxyWords`).
 */

import type { Filter } from "../stack/handler.ts";

export function edge(scheme: "http" | "https"): Filter {
  return (next) => (exchange) => {
    exchange.scheme = scheme;
    exchange.isFromOutside = true;
    next(exchange);
  };
}
