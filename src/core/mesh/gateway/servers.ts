/**
 * Which servers of which Gateways a gateway pod is to be, by the port that it listens on.
 *
 * A Gateway means the pods that its selector fits, of whatever namespace (Istio's default). Its ports are those of the
 * Service in front: where a Service of the pod has that port, the pod listens on the port's target, else on the very
 * number. What several servers say of one port must be of one kind: the oldest Gateway's kind holds.
 */

import type { Gateway, GatewayServer, ServerTls } from "../../../api/istio/networking.ts";
import { matchesLabels } from "../../registry/selector.ts";
import { namespaceOf } from "../../registry/workloads.ts";
import { objectKey, objectsOf } from "../../registry/world.ts";
import type { ProxyContext } from "../context.ts";
import { readSecret, secretName } from "../secrets.ts";
import { byAge, describe } from "../visibility.ts";

/** What becomes of a server's connections. */
export type ServerKind =
  | { readonly kind: "http"; readonly isGrpcWeb?: boolean }
  | { readonly kind: "https" | "tls"; readonly tls: ServerTls; readonly certificate?: string }
  | { readonly kind: "passthrough" }
  | { readonly kind: "auto-passthrough" }
  | { readonly kind: "tcp" };

export interface Server {
  readonly gateway: Gateway;
  /** `namespace/name` of the Gateway. */
  readonly key: string;
  /** `spec.servers[0]`, for notes. */
  readonly path: string;
  readonly written: GatewayServer;
  /** What the pod listens on. */
  readonly port: number;
  readonly is: ServerKind;
  readonly hosts: readonly ServerHost[];
}

/** A host of a server, and whose VirtualServices may bind to it (`*`: everybody's). */
export interface ServerHost {
  readonly host: string;
  readonly namespace: string;
}

/**
 * By the port that the pod listens on; in order of age. `targets`: the pod's ports by those of the Services in front,
 * where they differ; two Gateways that name one port by either number mean the same.
 */
export function serversByPort(
  context: ProxyContext,
  targets: ReadonlyMap<number, number>,
): ReadonlyMap<number, readonly Server[]> {
  const byPort = new Map<number, Server[]>();
  for (const gateway of [...objectsOf<Gateway>(context.world, "Gateway")].sort(byAge)) {
    if (!matchesLabels(context.labels, gateway.spec.selector ?? {})) continue;
    for (const [index, written] of (gateway.spec.servers ?? []).entries()) {
      const path = `spec.servers[${index}]`;
      const is = kindOf(context, gateway, written, path);
      if (is === undefined) continue;
      const number = targets.get(written.port.number) ?? written.port.number;
      const others = byPort.get(number) ?? [];
      const [first] = others;
      if (first !== undefined && isOpened(first.is) !== isOpened(is)) {
        note(
          context,
          gateway,
          `${path}.port`,
          "HEDDLE0110",
          takenMessage(written.port.number, first),
        );
        continue;
      }
      const hosts = written.hosts.map((host) => serverHost(host, namespaceOf(gateway)));
      others.push({ gateway, key: objectKey(gateway), path, written, port: number, is, hosts });
      byPort.set(number, others);
    }
  }
  return byPort;
}

/** Plain text on a port has nothing to tell servers apart by but Host, or nothing at all; TLS has the server name. */
function isOpened({ kind }: ServerKind): "http" | "tcp" | "tls" {
  return kind === "http" || kind === "tcp" ? kind : "tls";
}

function takenMessage(port: number, { key, written }: Server): string {
  return `port ${port} speaks ${written.port.protocol} for Gateway ${key}, which is older: this server is left out`;
}

function kindOf(
  context: ProxyContext,
  gateway: Gateway,
  written: GatewayServer,
  path: string,
): ServerKind | undefined {
  const { tls } = written;
  switch (written.port.protocol.toUpperCase()) {
    case "HTTP":
    case "HTTP2":
    case "GRPC":
      return { kind: "http" };
    case "GRPC-WEB":
      return { kind: "http", isGrpcWeb: true };
    case "HTTPS":
    case "TLS":
      return tlsKind(context, gateway, written, path);
    default:
      return tls?.mode === undefined ? { kind: "tcp" } : tlsKind(context, gateway, written, path);
  }
}

/** What would let in more than is asked for, were it passed over. */
const refusedSettings: readonly (readonly [
  field: string,
  isMeant: (tls: ServerTls) => boolean,
  why: string,
])[] = [
  [
    "verifyCertificateSpki",
    (tls) => (tls.verifyCertificateSpki ?? []).length > 0,
    "clients' certificates are judged by authority and names, never by keys",
  ],
  [
    "verifyCertificateHash",
    (tls) => (tls.verifyCertificateHash ?? []).length > 0,
    "clients' certificates are judged by authority and names, never by hashes",
  ],
  [
    "maxProtocolVersion",
    ({ maxProtocolVersion }) =>
      maxProtocolVersion === "TLSV1_0" || maxProtocolVersion === "TLSV1_1",
    "TLS 1.2 is the least that is spoken",
  ],
];

function tlsKind(
  context: ProxyContext,
  gateway: Gateway,
  { tls, port }: GatewayServer,
  path: string,
): ServerKind | undefined {
  const refuse = (field: string, code: string, message: string): undefined => {
    note(context, gateway, `${path}.${field}`, code, message);
  };
  if (tls === undefined) {
    return refuse("tls", "HEDDLE0111", `${port.protocol} needs tls.mode: nothing is served`);
  }
  if (tls.mode === "PASSTHROUGH") return { kind: "passthrough" };
  if (tls.mode === "AUTO_PASSTHROUGH") return { kind: "auto-passthrough" };
  const kind = port.protocol.toUpperCase() === "HTTPS" ? "https" : "tls";
  if (tls.mode === "ISTIO_MUTUAL") return { kind, tls };
  const refused = refusedSettings.find(([, isMeant]) => isMeant(tls));
  if (refused !== undefined) {
    const [field, , why] = refused;
    return refuse(`tls.${field}`, "HEDDLE0111", `${why}: nothing is served`);
  }
  const file = tls.serverCertificate || tls.privateKey || tls.caCertificates;
  if (file || !tls.credentialName) {
    return refuse(
      file ? "tls.serverCertificate" : "tls.credentialName",
      "HEDDLE0111",
      `the certificate must be in a Secret that credentialName names${file ? `, files are not read (${file})` : ""}: nothing is served`,
    );
  }
  const certificate = secretName(context.namespace, tls.credentialName);
  if (readSecret(context.world, certificate) === undefined) {
    note(
      context,
      gateway,
      `${path}.tls.credentialName`,
      "HEDDLE0112",
      `namespace ${context.namespace}, the gateway's, has no Secret ${tls.credentialName} with tls.crt and tls.key: its connections are closed`,
    );
  }
  return { kind, tls, certificate };
}

function serverHost(written: string, owner: string): ServerHost {
  const slash = written.indexOf("/");
  if (slash < 0) return { host: written, namespace: "*" };
  const namespace = written.slice(0, slash);
  return { host: written.slice(slash + 1), namespace: namespace === "." ? owner : namespace };
}

function note(
  context: ProxyContext,
  gateway: Gateway,
  field: string,
  code: string,
  message: string,
): void {
  context.note({ severity: "error", code, where: `${describe(gateway)} ${field}`, message });
}
