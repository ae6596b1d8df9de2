/** What the two sidecars of the soak are configured to do: another thing with every reload, and always the same for clients. */

import { ports } from "../../src/model/names.ts";
import type { Listener, ProxyConfig } from "../../src/model/proxy-config.ts";
import type { ProxySnapshot } from "../../src/proxy/config/source.ts";
import {
  cluster,
  endpoint,
  forward,
  inbound,
  outbound,
  passthrough,
  route,
  upstreamTls,
  virtualHost,
} from "../../src/proxy/testing/mesh.ts";
import type { ProxySecrets } from "../../src/proxy/testing/mesh-ca.ts";

export const serverAddress = "10.77.0.1";
export const clientAddress = "10.77.0.2";
export const appPorts: readonly [number, number] = [8080, 8081];
export const tunnelPort = 9000;
export const serverIdentity = "spiffe://cluster.local/ns/shop/sa/cart";
export const clientIdentity = "spiffe://cluster.local/ns/shop/sa/web";

/** Endpoints come and go, routes before the one that matters are more and fewer. */
export function clientSnapshot(reload: number, secrets: ProxySecrets): ProxySnapshot {
  const extra = Array.from({ length: reload % 7 }, (_, at) =>
    route(forward("app"), {
      name: `extra-${at}`,
      match: { path: { kind: "exact", value: `/extra-${at}` }, headers: [], queryParameters: [] },
    }),
  );
  const present = appPorts.filter((_, at) => reload % 3 === 2 || reload % 3 === at);
  const endpoints = present.map((port) => endpoint(port, { address: serverAddress, tls: true }));
  const { listeners, routes } = outbound([
    virtualHost(["*"], [...extra, route(forward("app"), { name: `main-${reload}` })]),
  ]);
  return snapshot(reload, secrets, {
    listeners: listeners.map((one) => bound(one, "virtualOutbound", ports.outbound)),
    routes,
    clusters: [
      cluster("app", { protocol: "downstream", tls: upstreamTls(serverIdentity) }),
      passthrough,
    ],
    endpoints: [{ cluster: "app", endpoints }],
  });
}

export function serverSnapshot(reload: number, secrets: ProxySecrets): ProxySnapshot {
  const http = appPorts.map((port) => inbound(port, { isStrict: true }));
  const parts = [...http, inbound(tunnelPort, { isTcp: true })];
  const filterChains = parts.flatMap(({ listeners }) =>
    listeners.flatMap((listener) => listener.filterChains),
  );
  const [first] = parts.flatMap(({ listeners }) => listeners);
  if (first === undefined) throw new TypeError("an inbound part has no listener");
  const own = bound({ ...first, filterChains }, "virtualInbound", ports.inbound);
  return snapshot(reload, secrets, {
    listeners: [own],
    routes: [],
    clusters: parts.flatMap(({ clusters }) => clusters),
    endpoints: [],
  });
}

function bound(listener: Listener, name: string, port: number): Listener {
  return listener.name === name ? { ...listener, address: "0.0.0.0", port } : listener;
}

function snapshot(reload: number, secrets: ProxySecrets, config: ProxyConfig): ProxySnapshot {
  return { version: String(reload), secrets, config };
}
