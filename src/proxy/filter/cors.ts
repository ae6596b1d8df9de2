/**
 * Cross-origin resource sharing: answers preflights, and tells browsers which pages may read an answer.
 *
 * The rules are the Fetch standard's, what is written back is Envoy's: the origin itself and never `*`, so that answers
 * with credentials work. An origin without permission is not refused: its page just may not read the answer. Answers of
 * the sidecar itself carry the permission too, or a page could not see why its request failed.
 */

import type { Cors } from "../../model/proxy-config.ts";
import { compileText } from "../config/matchers.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Filter } from "../stack/handler.ts";

export function cors(policy: Cors): Filter {
  const matchers = policy.origins.map(compileText);
  // Envoy's: a matcher that takes the text `*` takes every origin.
  const isAllowed = (origin: string) => matchers.some((takes) => takes("*") || takes(origin));
  const always = policy.allowsCredentials === true ? line("allow-credentials", "true") : "";
  const onPreflight =
    always +
    line("allow-methods", policy.methods.join(",")) +
    line("allow-headers", policy.headers.join(",")) +
    (policy.maxAgeMs === undefined ? "" : line("max-age", `${Math.floor(policy.maxAgeMs / 1000)}`));
  const onAnswer = always + line("expose-headers", policy.exposedHeaders.join(","));
  return (next) => (exchange) => {
    const origin = exchange.field("origin");
    if (origin === undefined) return next(exchange);
    const allowed = isAllowed(origin);
    const permission = line("allow-origin", origin);
    if (isPreflight(exchange)) {
      if (!allowed && policy.forwardsUnmatchedPreflights) return next(exchange);
      const fields = allowed ? permission + onPreflight : "";
      exchange.respond(200, "-", "", "cors_preflight", fields);
      return undefined;
    }
    if (allowed) {
      exchange.localFields = permission + onAnswer;
      exchange.addResponseLines(exchange.localFields, replaced);
    }
    return next(exchange);
  };
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
