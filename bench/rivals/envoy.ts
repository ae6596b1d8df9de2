/**
 * Envoy as a rival: one worker, default statistics, no access log.
 *
 * It is told what our sidecar does: route by host, add a request id, HTTP/2 or HTTP/1.1 to the backend, and where there
 * are certificates TLS 1.3 with its own and a check of the peer's SPIFFE identity.
 */

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, type Pinned, type Processes, untilAccepts } from "../processes.ts";

const program = join(import.meta.dirname, "../../build/envoy/bin/envoy");

export interface EnvoyTls {
  readonly certificate: string;
  readonly key: string;
  readonly roots: string;
  /** The identity that the peer must have. */
  readonly peer: string;
}

/** What stands between its port and the backends. */
export type EnvoyHop =
  | { readonly kind: "tcp"; readonly backend: number }
  | {
      readonly kind: "http";
      readonly protocol: "http/1.1" | "http/2";
      readonly services: readonly EnvoyService[];
      readonly tls?: EnvoyTls;
    };

export interface EnvoyService {
  readonly name: string;
  readonly domains: readonly string[];
  readonly backend: number;
  /** What it has besides a route for all paths, and before it. */
  readonly routes?: readonly EnvoyRoute[];
}

export interface EnvoyRoute {
  readonly match: Readonly<Partial<Record<RouteKind, string>>>;
  readonly cluster: string;
}

/** How a route's path is matched: exactly, or as a prefix. Envoy's words. */
export type RouteKind = "path" | "prefix";

export interface Started {
  readonly port: number;
  readonly process: Pinned;
}

export async function startEnvoy(
  processes: Processes,
  folder: string,
  core: number,
  hop: EnvoyHop,
): Promise<Started> {
  if (!existsSync(program)) throw new Error(`${program} is missing: run scripts/setup.sh bench`);
  const port = await freePort();
  const path = join(folder, `envoy-${port}.json`);
  writeFileSync(path, JSON.stringify(configOf(port, hop)), { mode: 0o600 });
  const words = ["-c", path, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"];
  const process = await processes.start("envoy", core, [program, ...words], false);
  await untilAccepts(port, "Envoy");
  return { port, process };
}

function configOf(port: number, hop: EnvoyHop): unknown {
  const filter = hop.kind === "tcp" ? tcpProxy() : connectionManager(hop.services);
  return {
    static_resources: {
      listeners: [{ name: "in", address: socket(port), filter_chains: [{ filters: [filter] }] }],
      clusters:
        hop.kind === "tcp"
          ? [clusterOf("backend", hop.backend)]
          : hop.services.map(({ name, backend }) => ({
              ...clusterOf(name, backend),
              ...(hop.protocol === "http/2" ? http2 : {}),
              ...(hop.tls === undefined ? {} : { transport_socket: upstreamTls(hop.tls) }),
            })),
    },
  };
}

const socket = (port: number) => ({
  socket_address: { address: "127.0.0.1", port_value: port },
});

const type = (name: string) => `type.googleapis.com/envoy.extensions.${name}`;

function clusterOf(name: string, backend: number): Readonly<Record<string, unknown>> {
  return {
    name,
    type: "STATIC",
    lb_policy: "LEAST_REQUEST",
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(backend) } }] }],
    },
  };
}

const http2 = {
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": type("upstreams.http.v3.HttpProtocolOptions"),
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

function tcpProxy(): unknown {
  return {
    name: "envoy.filters.network.tcp_proxy",
    typed_config: {
      "@type": type("filters.network.tcp_proxy.v3.TcpProxy"),
      stat_prefix: "in",
      cluster: "backend",
    },
  };
}

function connectionManager(services: readonly EnvoyService[]): unknown {
  const virtualHosts = services.map(({ name, domains, routes = [] }) => ({
    name,
    domains,
    routes: [
      ...routes.map(({ match, cluster }) => ({ match, route: { cluster } })),
      { match: { prefix: "/" }, route: { cluster: name } },
    ],
  }));
  return {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: {
      "@type": type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
      stat_prefix: "in",
      codec_type: "AUTO",
      route_config: { name: "routes", virtual_hosts: virtualHosts },
      http_filters: [
        {
          name: "envoy.filters.http.router",
          typed_config: { "@type": type("filters.http.router.v3.Router") },
        },
      ],
    },
  };
}

function upstreamTls(tls: EnvoyTls): unknown {
  const file = (filename: string) => ({ filename });
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": type("transport_sockets.tls.v3.UpstreamTlsContext"),
      common_tls_context: {
        tls_params: {
          tls_minimum_protocol_version: "TLSv1_3",
          tls_maximum_protocol_version: "TLSv1_3", // as a client it stops at 1.2 unless told
        },
        alpn_protocols: ["http/1.1"],
        tls_certificates: [
          { certificate_chain: file(tls.certificate), private_key: file(tls.key) },
        ],
        validation_context: {
          trusted_ca: file(tls.roots),
          match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: tls.peer } }],
        },
      },
    },
  };
}
