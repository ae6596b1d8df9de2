/**
 * Cross-origin resource sharing: answers preflights, and tells browsers which pages may read an answer.
 *
 * The rules are the Fetch standard's, what is written back is Envoy's: the origin itself and never `*`, so that answers
 * with credentials work. An origin without permission is not refused: its page just may not read the answer. Answers of
 * the sidecar itself carry the permission too, or a page could not see why its request failed.
 *
 * What the whole listener refuses (authorization, rate limits, overload) it refuses before there is a route, preflights
 * too, as with Istio. Only then is the route looked for whose pages may read that (`permit`): with Envoy's order of
 * filters they could not.
 */

import type { Cors } from "../../model/proxy-config.ts";
import { compileText } from "../config/matchers.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Filter } from "../stack/handler.ts";

/** What a route says of pages of other origins. */
export interface Sharing {
  readonly filter: Filter;
  /** Lets a page that may read the route's answers read the one that is about to be given from here. */
  readonly permit: (exchange: Exchange) => void;
}

export function cors(policy: Cors): Sharing {
  const matchers = policy.origins.map(compileText);
  // Envoy's: a matcher that takes the text `*` takes every origin.
  const isAllowed = (origin: string) => matchers.some((takes) => takes("*") || takes(origin));
  const always = policy.allowsCredentials === true ? line("allow-credentials", "true") : "";
  const methods = policy.methods.join(",");
  const headers = policy.headers.join(",");
  const maxAge =
    policy.maxAgeMs === undefined ? "" : line("max-age", `${Math.floor(policy.maxAgeMs / 1000)}`);
  // Envoy's: where all are meant, those that are asked for are named. With credentials browsers take `*` for a name.
  const named = (list: string, exchange: Exchange, asked: string) =>
    list === "*" ? (exchange.field(asked) ?? "") : list;
  const onPreflight = (exchange: Exchange) =>
    always +
    line("allow-methods", named(methods, exchange, "access-control-request-method")) +
    line("allow-headers", named(headers, exchange, "access-control-request-headers")) +
    maxAge;
  const onAnswer = always + line("expose-headers", policy.exposedHeaders.join(","));
  const permission = (origin: string) => line("allow-origin", origin);
  const permit = (exchange: Exchange): boolean => {
    const origin = exchange.field("origin");
    if (origin === undefined || !isAllowed(origin)) return false;
    exchange.localFields = permission(origin) + onAnswer;
    return true;
  };
  const filter: Filter = (next) => (exchange) => {
    const origin = exchange.field("origin");
    if (origin === undefined) return next(exchange);
    if (isPreflight(exchange)) {
      const allowed = isAllowed(origin);
      if (!allowed && policy.forwardsUnmatchedPreflights) return next(exchange);
      const fields = allowed ? permission(origin) + onPreflight(exchange) : "";
      exchange.respond(200, "-", "", "cors_preflight", fields);
      return undefined;
    }
    if (permit(exchange)) exchange.addResponseLines(exchange.localFields, replaced);
    return next(exchange);
  };
  return { filter, permit };
}

/** The application's own idea of them, which the configuration overrules. */
const replaced = [
  "access-control-allow-origin",
  "access-control-allow-credentials",
  "access-control-expose-headers",
];

function isPreflight(exchange: Exchange): boolean {
  return (
    exchange.method === "OPTIONS" && exchange.field("access-control-request-method") !== undefined
  );
}

function line(name: string, value: string): string {
  return value === "" ? "" : `access-control-${name}: ${value}\r\n`;
}
