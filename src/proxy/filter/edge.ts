/**
 * Where clients are not of the mesh: how they came is said by who saw it, and not by themselves.
 *
 * As Envoy does with `use_remote_address`, by which Istio's gateways live: the client's address is appended to
 * `x-forwarded-for`, `x-forwarded-proto` is the scheme that was spoken, and `x-request-id` is a new one, since a stranger
 * could take another request's. Nobody is trusted for a private address.
 *
 * Proxies before it that are trusted have seen more: the scheme that they name stands, and who the client is stands as
 * many places before the end of `x-forwarded-for` (`remoteAddress`).
 *
 * Not here: the fields themselves, and what only proxies may say, which goes no further: the router writes the ones
 * and leaves out the others (router.ts, `notFromOutside`).
 */

import type { Filter } from "../stack/handler.ts";
import { newRequestIdLine } from "./request-id.ts";

export function edge(spoken: "http" | "https", trustedProxies: number): Filter {
  return (next) => (exchange) => {
    const said = trustedProxies > 0 ? exchange.field("x-forwarded-proto") : undefined;
    exchange.seenScheme = said === "http" || said === "https" ? said : spoken;
    exchange.isFromOutside = true;
    exchange.trustedProxies = trustedProxies;
    exchange.requestIdLine = newRequestIdLine();
    next(exchange);
  };
}
