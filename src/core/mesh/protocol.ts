/**
 * Which protocol a Service's port speaks, as Istio reads it: `appProtocol` first, then the port's name up to its first
 * dash, else the connection's first bytes tell (`detect`).
 *
 * A port that is declared as HTTP/2 or gRPC has its endpoints spoken to in HTTP/2, one that is declared as HTTP in
 * HTTP/1.1, whatever the client speaks; gRPC-Web is for browsers, and its endpoints speak gRPC; where the protocol is detected, endpoints are spoken to as the client speaks. A
 * DestinationRule may say otherwise (`protocolWanted`).
 * TLS of the application's own is TCP.
 */

import type { Cluster } from "../../model/proxy-config.ts";
import type { ResolvedServicePort } from "../registry/services.ts";

export type PortProtocol = "http" | "http2" | "grpc-web" | "tcp" | "detect";

/** What the connection's first bytes may be, to be taken for HTTP. */
export const httpDetected: readonly string[] = ["http/1.1", "h2c"];

/** Whether the port is known to speak HTTP, of either version. */
export function isHttp(protocol: PortProtocol): boolean {
  return protocol === "http" || speaksHttp2(protocol);
}

/** Whether its endpoints are known to speak HTTP/2. */
export function speaksHttp2(protocol: PortProtocol): boolean {
  return protocol === "http2" || protocol === "grpc-web";
}

/** How a cluster says what its endpoints are spoken to in; `wanted`: where somebody asks for another than the port's. */
export function clusterProtocol(
  protocol: PortProtocol,
  wanted?: Cluster["protocol"],
): Pick<Cluster, "protocol"> {
  if (wanted !== undefined && protocol !== "tcp") return { protocol: wanted };
  switch (protocol) {
    case "http2":
    case "grpc-web":
      return { protocol: "http/2" };
    case "detect":
      return { protocol: "downstream" };
    case "http":
    case "tcp":
      return {};
  }
}

const names: Readonly<Record<string, PortProtocol>> = {
  http: "http",
  "kubernetes.io/ws": "http",
  http2: "http2",
  "kubernetes.io/h2c": "http2",
  grpc: "http2",
  "grpc-web": "grpc-web",
  https: "tcp",
  "kubernetes.io/wss": "tcp",
  tls: "tcp",
  tcp: "tcp",
  mongo: "tcp",
  mysql: "tcp",
  redis: "tcp",
};

/** Ports whose protocols let the server speak first: waiting for the client's bytes would only cost time. */
const serverFirstPorts: ReadonlySet<number> = new Set([3306]);

export function protocolOf(
  port: Pick<ResolvedServicePort, "name" | "port" | "appProtocol">,
): PortProtocol {
  const declared = port.appProtocol?.toLowerCase();
  if (declared !== undefined) return names[declared] ?? "detect";
  const name = port.name.toLowerCase();
  const byName = names[name.startsWith("grpc-web") ? "grpc-web" : (name.split("-")[0] ?? "")];
  return byName ?? (serverFirstPorts.has(port.port) ? "tcp" : "detect");
}
