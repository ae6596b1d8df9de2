/**
 * Routes of a gateway: for each server a virtual host for every name that some VirtualService has routes for.
 *
 * VirtualServices of one host add up, the oldest first (in the mesh one host has one). A server with `httpsRedirect`
 * answers everything with the https URL. Names that nobody has routes for get 404.
 */

import type { Route, RouteConfig, VirtualHost } from "../../../model/proxy-config.ts";
import type { ProxyContext } from "../context.ts";
import { everyRequest } from "../http-match.ts";
import { httpRoutes } from "../http-routes.ts";
import { bindingsOf } from "./bindings.ts";
import type { Server } from "./servers.ts";

/** Istio's names. Plain servers of a port share one configuration; each TLS server has its own. */
export function routesName(server: Server): string {
  const { port } = server.written;
  if (server.is.kind === "http") return `http.${server.port}`;
  const [namespace = "", name = ""] = server.key.split("/");
  return `https.${port.number}.${port.name}.${name}.${namespace}`;
}

/** `servers` have the same routes' name. */
export function gatewayRoutes(context: ProxyContext, servers: readonly Server[]): RouteConfig {
  const hosts = new Map<string, Route[]>();
  for (const server of servers) {
    const at = context.at(server.key);
    const listenPort = server.written.port.number;
    if (server.written.tls?.httpsRedirect === true && server.is.kind === "http") {
      for (const { host } of server.hosts) routesOf(hosts, host).push(toHttps);
      continue;
    }
    for (const binding of bindingsOf(context, server)) {
      if (binding.rules.spec.http === undefined) continue;
      const routes = httpRoutes(at, binding.rules, listenPort);
      for (const host of binding.hosts) routesOf(hosts, host).push(...routes);
    }
  }
  const [first] = servers;
  const port = first?.port ?? 0;
  return {
    name: first === undefined ? "" : routesName(first),
    virtualHosts: [...hosts].map(
      ([host, routes]): VirtualHost => ({ name: `${host}:${port}`, domains: [host], routes }),
    ),
  };
}

function routesOf(hosts: Map<string, Route[]>, written: string): Route[] {
  const host = written.toLowerCase();
  const known = hosts.get(host);
  if (known !== undefined) return known;
  const routes: Route[] = [];
  hosts.set(host, routes);
  return routes;
}

const toHttps: Route = {
  name: "https-redirect",
  match: everyRequest,
  action: { kind: "redirect", status: 301, scheme: "https" },
};
