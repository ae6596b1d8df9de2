/** Names that more than one part of Heddle must agree on: identities, hosts, ports, marks. One place each. */

import type { IpFamily } from "../base/ip.ts";

/** `namespace/name`, the way people and logs refer to a namespaced object. */
export type QualifiedName = string;
export type NodeName = string;

export const clusterDomain = "cluster.local";
export const trustDomain = "cluster.local";

/** The SPIFFE identity of a service account, as Istio writes it. */
export function spiffeId(trust: string, namespace: string, serviceAccount: string): string {
  return `spiffe://${trust}/ns/${namespace}/sa/${serviceAccount}`;
}

/** The DNS name of a Service: `cart.shop.svc.cluster.local`. */
export function serviceHost(namespace: string, name: string): string {
  return `${name}.${namespace}.svc.${clusterDomain}`;
}

/** TCP ports of the sidecar and the control plane; Istio's numbers, so that probes and dashboards find them. */
export const ports = {
  admin: 15000,
  outbound: 15001,
  inbound: 15006,
  xds: 15012,
  /** Metrics of `heddle server`, as istiod's. */
  monitoring: 15014,
  metrics: 15020,
  readiness: 15021,
  /** The Kubernetes API of `heddle server`. */
  api: 6443,
  /** A lab's dashboard, on loopback; the next free one where it is taken. */
  dashboard: 15080,
  vxlan: 4789,
  /** WireGuard between nodes; Cilium's number, so that firewalls may know it. */
  wireguard: 51871,
} as const;

/** The sidecar runs as this user and group; what they send is never captured again. Istio's number. */
export const proxyUid = 1337;

/**
 * What a sidecar offers when it speaks TLS to another: in the ClientHello, so that the other can tell it from an
 * application's. Of the two for HTTP it offers the one that it will speak; `any` for bytes that it does not read.
 */
export const meshAlpn = { http: "istio-http/1.1", http2: "istio-h2", any: "istio" } as const;

/**
 * Says of a request that it is a sidecar's own health check. No application can say it: sidecars take it out of what
 * passes through them.
 */
export const healthCheckField = "x-heddle-health-check";

/**
 * The source address of the sidecar's connections to its own pod's Service address: a pod that calls a Service and is
 * given itself. Known by it they are captured like connections from outside; Istio's number for the same knot. The
 * rare case carries the mark, because a connection whose source is bound reserves a port for a minute after its end.
 */
export const selfSource = "127.0.0.6";

/**
 * Every pod's default gateway and name server. Link-local: it never leaves the pod's link, so every node can use
 * the same one, and a pod's routes need not change when it is moved.
 */
export const podGateway = "169.254.1.1";

/** Every pod's default gateway, by family. That of IPv4 is on `lo`, that of IPv6 on each pod's link. */
export const podGateways: Readonly<Record<IpFamily, string>> = {
  IPv4: podGateway,
  IPv6: "fe80::1",
};

/**
 * Where each node's name server listens, by family. That of IPv6 is a unique local address, because resolvers take no
 * link-local one without the name of a link; pods reach it by their default route, and it ends at their node.
 */
export const nameServers: Readonly<Record<IpFamily, string>> = {
  IPv4: podGateway,
  IPv6: "fd68:6564:646c::53",
};

/**
 * Routes that only pods' packets take, before those of the main table: to other nodes' own addresses, encrypted. Beyond
 * the numbers that people give tables.
 */
export const encryptedTable = 0x4844;

/** Preference of the routing rules that Heddle adds, so that it recognises its own. */
export const rulePriority = 0x4844;

/** Rtnetlink protocol number on every route that Heddle installs, so that it recognises its own. */
export const routeProtocol = 0x48;

/** Links of Heddle's start with this; `hd` plus ten hex digits for a pod's host side, two names for the overlay. */
export const linkPrefix = "hd";
export const vxlanLink = "hdvxlan";
export const wireguardLink = "hdwg";
export const vxlanVni = 4096;

/** CNI capabilities that Heddle grants (`wire/cni/wishes.ts`), as a network's configuration declares them. */
export const cniCapabilities: readonly string[] = [
  "portMappings",
  "bandwidth",
  "ips",
  "mac",
  "aliases",
];

/** On a Pod, with commas between: names beside its own, as a runtime asked for them (CNI capability `aliases`). */
export const aliasesAnnotation = "heddle.dev/aliases";

/** On a Node object, written by its agent: its underlay addresses with their prefixes, and that link's MTU. */
export const underlayAnnotation = "heddle.dev/underlay";
export const mtuAnnotation = "heddle.dev/underlay-mtu";

/** On a Node object, written by its agent: the public key of its WireGuard device, base64. */
export const wireguardKeyAnnotation = "heddle.dev/wireguard-key";

/** The one table that Heddle owns in each network namespace. */
export const nftTable = "heddle";

/**
 * What chain `forward` writes on a connection that it lets be made: this mark, plus the number of the rules. The driver
 * keeps the number in the chain's one rule; 0 is no number that rules have. kernel/bpf/connections.h has the rest of a
 * connection's mark, kernel/bpf/verdicts.h what it is for.
 */
export const rulesStamp = { chain: "stamp", mark: 0x8000_0000 } as const;

/** The rule of that chain, with the number's lower 31 bits. */
export function stampRule(number: number): string {
  return `ct mark set 0x${((rulesStamp.mark | number) >>> 0).toString(16)}`;
}

/**
 * Bits of the connection label (0 to 127) that the node's rules set: a Service was asked for; the source becomes a
 * node's address. The last two, since others who use labels count from 0.
 */
export const serviceLabels = { asked: 126, masquerade: 127 } as const;

/**
 * How much busier than it is a host looks to a sidecar's balancer for its failures, which are remembered as an average of
 * outcomes: each adds `step` of itself, and when everything fails the host looks `1 + most` times as busy. So one that
 * always fails is as attractive as one with ten requests more under way.
 */
export const hostStrain = { most: 9, step: 0.3 } as const;
