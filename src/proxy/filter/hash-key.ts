/**
 * The key by which consistent hashing picks: from a header, a cookie, the query or the client's address
 * (behind proxies that are believed, who they say it is).
 *
 * A client without its cookie is given one, where the configuration says for how long; its first request goes by the
 * value that it will show from then on. Without any key a request goes anywhere.
 */

import { randomUUID } from "node:crypto";
import { unreachable } from "../../base/error.ts";
import type { HashKey } from "../../model/proxy-config.ts";
import { queryParameter } from "../config/matchers.ts";
import type { Exchange } from "../stack/exchange.ts";
import { hashText } from "../upstream/balancer/hash.ts";

type Source = (exchange: Exchange) => string | undefined;

/** Sets the exchange's key, and gives out the cookie. */
export function hashKey(keys: readonly HashKey[]): (exchange: Exchange) => void {
  const sources = keys.map(sourceOf);
  return (exchange) => {
    for (const source of sources) {
      const value = source(exchange);
      if (value === undefined) continue;
      exchange.hashKey = hashText(value);
      return;
    }
  };
}

function sourceOf(key: HashKey): Source {
  switch (key.kind) {
    case "header": {
      const name = key.name.toLowerCase();
      return (exchange) => exchange.field(name);
    }
    case "query":
      return (exchange) => queryParameter(exchange.query, key.name);
    case "source-ip":
      return (exchange) => exchange.remoteAddress;
    case "cookie":
      return (exchange) => cookie(exchange.field("cookie"), key.name) || giveCookie(exchange, key); // an emptied one is none
    default:
      return unreachable(key);
  }
}

function cookie(field: string | undefined, name: string): string | undefined {
  for (const pair of field?.split(/[;,]/) ?? []) {
    const equals = pair.indexOf("=");
    if (equals < 0 || pair.slice(0, equals).trim() !== name) continue;
    const value = pair.slice(equals + 1).trim();
    return value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
  }
  return undefined;
}

function giveCookie(
  exchange: Exchange,
  key: Extract<HashKey, { kind: "cookie" }>,
): string | undefined {
  if (key.ttlMs === undefined) return undefined;
  const value = randomUUID();
  const age = key.ttlMs > 0 ? `; Max-Age=${Math.ceil(key.ttlMs / 1000)}` : "";
  const path = key.path === undefined || key.path === "" ? "" : `; Path=${key.path}`;
  const more = (key.attributes ?? []).map(([name, text]) => `; ${name}${text && `=${text}`}`);
  const attributes = `${age}${path}${more.join("")}; HttpOnly`;
  exchange.addResponseLines(`set-cookie: ${key.name}="${value}"${attributes}\r\n`);
  return value;
}
