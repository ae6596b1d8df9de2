/**
 * Which protocol a Service's port speaks, as Istio reads it: `appProtocol` first, then the port's name up to its first
 * dash, else the connection's first bytes tell (`detect`).
 *
 * HTTP/2 and gRPC are detected, not declared: the data path routes HTTP/1.1 so far, and what it cannot read must pass
 * as TCP and not be refused. TLS of the application's own is TCP.
 */

import type { ResolvedServicePort } from "../registry/services.ts";

export type PortProtocol = "http" | "tcp" | "detect";

const names: Readonly<Record<string, PortProtocol>> = {
  http: "http",
  "kubernetes.io/ws": "http",
  http2: "detect",
  "kubernetes.io/h2c": "detect",
  grpc: "detect",
  "grpc-web": "http",
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
