/**
 * A small shop, the rules that tests give it, and where its requests go in few words.
 */

import type { Diagnostic } from "../../src/base/compiled.ts";
import { type OutboundRequest, walkOutbound } from "../../src/core/mesh/walk.ts";
import type { World } from "../../src/core/registry/world.ts";
import type { Cluster, Endpoint } from "../../src/model/proxy-config.ts";
import { compileFor, meshWorld } from "./mesh.ts";

export const shop: string = `
  pods:
    shop/web: {}
    shop/cart-v1: { labels: { app: cart, version: v1 }, account: cart }
    shop/cart-v2: { labels: { app: cart, version: v2 }, account: cart }
    shop/db: {}
    other/guest: {}
  services:
    shop/cart: { ports: { http: 80>8080 } }
    shop/db: { ports: { tcp-sql: 5432 } }
    shop/legacy: { selector: { app: cart }, ports: { main: 9000 } }
    other/guest: { ports: { http: 80 } }
`;
/** Two versions of the cart, for `shop`. */
export const subsets: string = `
kind: DestinationRule
metadata: { name: cart }
spec:
  host: cart
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }
`;

/** What the cart is to a client. */
export interface CartSeen {
  readonly cluster: Cluster | undefined;
  readonly endpoints: readonly Endpoint[] | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

/** With no other DestinationRule than one of this spec (YAML). */
export function cartWith(spec: string): CartSeen {
  const rule = `kind: DestinationRule\nmetadata: { name: r }\nspec: ${spec}`;
  const { value, diagnostics } = compileFor(meshWorld(shop, rule), "shop/web");
  const endpoints = value.endpoints.find((one) => one.cluster === cart)?.endpoints;
  return { cluster: value.clusters.find(({ name }) => name === cart), endpoints, diagnostics };
}

/** A VirtualService of the cart with these rules. */
export function routes(http: string, hosts = "[cart]"): string {
  return `
kind: VirtualService
metadata: { name: cart }
spec:
  hosts: ${hosts}
  http:
${http}
`;
}

/** `v1 90%, v2 10%`: subsets or clusters with their shares. */
export function split(
  world: World,
  request: HttpNotation | OutboundRequest,
  from = "shop/web",
): string {
  const walk = walkOutbound(compileFor(world, from).value, expanded(request));
  if (walk.destinations.length === 0) return describeAnswer(walk.route?.action.kind);
  return walk.destinations
    .map(({ cluster, share, endpoints }) => {
      const parts = cluster.split("|");
      const subset = parts[2] === "" || parts[2] === undefined ? cluster : parts[2];
      const empty = endpoints?.length === 0 ? " (empty)" : "";
      return `${subset}${share === 1 ? "" : ` ${Math.round(share * 100)}%`}${empty}`;
    })
    .join(", ");
}

function describeAnswer(kind: string | undefined): string {
  return kind ?? "404";
}

/** A request, as far as it matters to the test. */
export interface HttpNotation {
  readonly to?: string;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const addresses: Readonly<Record<string, string>> = { cart: "10.96.0.1", guest: "10.96.0.4" };

/** The same as the proxy meets it: by default to the cart. */
export function expanded(request: HttpNotation | OutboundRequest): OutboundRequest {
  if ("address" in request) return request;
  const { to: host = "cart", path, method, headers } = request;
  const service = host.split(/[.:]/)[0] ?? "";
  return {
    address: addresses[service] ?? "192.0.2.9",
    port: 80,
    http: {
      host,
      ...(path === undefined ? {} : { path }),
      ...(method === undefined ? {} : { method }),
      ...(headers === undefined ? {} : { headers }),
    },
  };
}

/** The cart's cluster. */
export const cart: string = "outbound|80||cart.shop.svc.cluster.local";
