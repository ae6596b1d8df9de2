/** Resources as control planes of others write them: protobuf's JSON, with the names of the `.proto` files. */

import type { WebCertificate } from "../../../src/proxy/testing/web-certificate.ts";

/** In Envoy's words, `@type` where a message is packed. */
export type Message = Readonly<Record<string, unknown>>;

export const types = {
  listener: "envoy.config.listener.v3.Listener",
  route: "envoy.config.route.v3.RouteConfiguration",
  cluster: "envoy.config.cluster.v3.Cluster",
  endpoints: "envoy.config.endpoint.v3.ClusterLoadAssignment",
  secret: "envoy.extensions.transport_sockets.tls.v3.Secret",
} as const;
export type TypeName = (typeof types)[keyof typeof types];

const ads = { ads: {}, resource_api_version: "V3" };
export const any = (type: string, message: Message = {}): Message => ({
  "@type": `type.googleapis.com/${type}`,
  ...message,
});
export const router: Message = {
  name: "envoy.filters.http.router",
  typed_config: any("envoy.extensions.filters.http.router.v3.Router"),
};
/** A filter that a sidecar does not have. */
export const buffer: Message = {
  name: "buffer",
  typed_config: any("envoy.extensions.filters.http.buffer.v3.Buffer"),
};

export function listener(routes: string, more: Message = {}, name = "front"): Message {
  return {
    name,
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    filter_chains: [
      {
        filters: [
          {
            name: "http",
            typed_config: any(
              "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
              {
                stat_prefix: name,
                rds: { route_config_name: routes, config_source: ads },
                http_filters: [router],
                ...more,
              },
            ),
          },
        ],
      },
    ],
  };
}

export const routesTo = (cluster: string, name = "routes"): Message => ({
  name,
  virtual_hosts: [
    { name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster } }] },
  ],
});

export const cluster = (name: string, service = ""): Message => ({
  name,
  type: "EDS",
  eds_cluster_config: { eds_config: ads, service_name: service },
});

export const endpoints = (name: string, port: number, address = "127.0.0.1"): Message => ({
  cluster_name: name,
  endpoints: [
    {
      lb_endpoints: [{ endpoint: { address: { socket_address: { address, port_value: port } } } }],
    },
  ],
});

export const secret = (name: string, { chain, key }: WebCertificate): Message => ({
  name,
  tls_certificate: {
    certificate_chain: { inline_string: chain },
    private_key: { inline_string: key },
  },
});

/** The same listener, with TLS. */
export function secured(plain: Message, certificate: string): Message {
  const context = any("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", {
    common_tls_context: {
      tls_certificate_sds_secret_configs: [{ name: certificate, sds_config: ads }],
    },
  });
  const chains = plain["filter_chains"] as readonly Message[];
  const socket = { name: "envoy.transport_sockets.tls", typed_config: context };
  return { ...plain, filter_chains: chains.map((one) => ({ ...one, transport_socket: socket })) };
}
