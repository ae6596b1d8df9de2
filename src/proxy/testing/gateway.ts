/** A gateway with TLS for tests: its listener, what it shows, and visitors who come by name. */

import { request as httpsRequest } from "node:https";
import type { DownstreamTls, FilterChain, Listener, Secret } from "../../model/proxy-config.ts";
import type { Sidecar } from "../sidecar.ts";
import { type Harness, snapshot } from "./harness.ts";
import { cluster, endpoint, forward, route, virtualHost } from "./mesh.ts";
import type { WebCertificate } from "./web-certificate.ts";

export function certificate(name: string, from: WebCertificate): Secret {
  return { kind: "certificate", name, ...from };
}

export function roots(name: string, from: WebCertificate): Secret {
  return { kind: "validation", name, roots: from.chain };
}

export function tls(name: string, more: Partial<DownstreamTls> = {}): DownstreamTls {
  return {
    requireClientCertificate: false,
    alpn: ["h2", "http/1.1"],
    certificate: name,
    clients: { kind: "anyone", names: [], leastVersion: "TLSv1.2" },
    ...more,
  };
}

/** A server for one name, which sends everything to the application. */
export function chain(name: string, more: Partial<FilterChain> = {}): FilterChain {
  return {
    name,
    match: { transport: "tls", serverNames: [name] },
    tls: tls(name),
    rbac: [],
    filter: {
      kind: "http",
      statPrefix: name,
      rbac: [],
      isEdge: true,
      routes: {
        kind: "inline",
        config: { name, virtualHosts: [virtualHost(["*"], [route(forward("app"))])] },
      },
    },
    ...more,
  };
}

export function listener(...filterChains: readonly FilterChain[]): Listener {
  return {
    name: "https",
    direction: "outbound",
    address: "127.0.0.1",
    port: 0,
    bindToPort: true,
    useOriginalDestination: false,
    filterChains,
  };
}

export interface Gateway {
  readonly sidecar: Sidecar;
  readonly port: number;
  readonly apply: (chains: readonly FilterChain[], secrets: readonly Secret[]) => Promise<void>;
}

export async function gateway(
  harness: Harness,
  app: number,
  chains: readonly FilterChain[],
  secrets: readonly Secret[],
): Promise<Gateway> {
  const config = (filterChains: readonly FilterChain[], own: readonly Secret[]) => ({
    listeners: [listener(...filterChains)],
    clusters: [cluster("app")],
    endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
    secrets: own,
  });
  const options = { destination: () => undefined };
  const sidecar = await harness.sidecar(options, config(chains, secrets));
  return {
    sidecar,
    port: sidecar.portOf("https") ?? 0,
    apply: (next, own) => sidecar.apply(snapshot(config(next, own))),
  };
}

export interface Visit {
  readonly ca: WebCertificate;
  readonly as?: WebCertificate;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One request by name; `closed` where the connection was. */
export async function visit(
  port: number,
  name: string,
  { ca, as, headers }: Visit,
): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const own = as === undefined ? {} : { cert: as.chain, key: as.key };
  const options = { host: "127.0.0.1", port, servername: name, agent: false, ca: ca.chain };
  const sent = httpsRequest({ ...options, ...own, headers: { host: name, ...headers } }, (res) => {
    let text = "";
    res.on("data", (bytes) => {
      text += bytes;
    });
    res.on("end", () => resolve(`${res.statusCode} ${text}`));
  });
  sent.on("error", () => resolve("closed"));
  sent.end();
  return promise;
}
