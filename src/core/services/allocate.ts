/**
 * What the server gives to a Service: cluster addresses, node ports, the port for health checks; and what it takes
 * back.
 *
 * A pure function of the Service, what it was before and what is taken. Each thing given is a claim, a text that only
 * one Service can hold; whoever keeps the claims (server/api) holds the new ones and drops the old. The first candidate
 * follows from the Service's name: one that is deleted and made again usually gets the same, and clients that still
 * hold an address do not reach a stranger.
 */

import type { Service, ServicePort } from "../../api/k8s/core.ts";
import type { Issue } from "../../api/validate/issue.ts";
import { hashText } from "../../base/hash.ts";
import { addressAt, type Cidr, cidrSize, renderCidr } from "../../base/ip.ts";
import { type FamilyPlan, familyPlan } from "./families.ts";

/** Kubernetes' range. */
export const nodePortRange = { first: 30_000, last: 32_767 } as const;

/** Addresses at both ends that are not given: the network's own, the first (`kubernetes` by custom), broadcast. */
const reservedFirst = 2;
const reservedLast = 1;
/** As many of a large range are used: enough, and a scan of it ends. */
const mostAddresses = 2 ** 20;

export type Allocation =
  | { readonly kind: "given"; readonly service: Service; readonly claims: readonly string[] }
  | { readonly kind: "refused"; readonly issues: readonly Issue[] }
  | { readonly kind: "exhausted"; readonly what: string };

/** Who holds a claim, `namespace/name`; undefined where nobody does. */
export type HolderOf = (claim: string) => string | undefined;

export function allocate(
  service: Service,
  previous: Service | undefined,
  ranges: readonly Cidr[],
  holderOf: HolderOf,
): Allocation {
  if (service.spec.type === "ExternalName") {
    return { kind: "given", service: withoutNodePorts(service), claims: [] };
  }
  const plan = familyPlan(service, previous, ranges);
  if ("issues" in plan) return { kind: "refused", issues: plan.issues };
  const taker = new Taker(service, holderOf);
  const addressed = giveAddresses(service, previous, plan, taker);
  const ported = needsNodePorts(service)
    ? giveNodePorts(addressed, previous, taker)
    : withoutNodePorts(addressed);
  const given = giveHealthPort(ported, previous, taker);
  if (taker.exhausted !== undefined) return { kind: "exhausted", what: taker.exhausted };
  if (taker.issues.length > 0) return { kind: "refused", issues: taker.issues };
  return { kind: "given", service: given, claims: taker.claims };
}

/** What a stored Service holds, for whoever fills the list of claims from the store. */
export function claimsOf({ spec }: Service): readonly string[] {
  if (spec.type === "ExternalName") return [];
  const { clusterIP = "", clusterIPs = [clusterIP], healthCheckNodePort = 0 } = spec;
  return [
    ...clusterIPs.filter((address) => address !== "" && address !== "None").map(addressClaim),
    ...(spec.ports ?? []).flatMap(({ nodePort = 0, protocol = "TCP" }) =>
      nodePort === 0 ? [] : [portClaim(protocol, nodePort)],
    ),
    ...(healthCheckNodePort === 0 ? [] : [portClaim("TCP", healthCheckNodePort)]),
  ];
}

function addressClaim(address: string): string {
  return `address ${address}`;
}

function portClaim(protocol: string, port: number): string {
  return `node port ${protocol}/${port}`;
}

/** Takes claims one by one, and remembers what cannot be had. */
class Taker {
  readonly claims: string[] = [];
  readonly issues: Issue[] = [];
  exhausted: string | undefined;
  readonly name: string;
  readonly #holderOf: HolderOf;

  constructor({ metadata }: Service, holderOf: HolderOf) {
    this.name = `${metadata.namespace ?? ""}/${metadata.name}`;
    this.#holderOf = holderOf;
  }

  isFree(claim: string): boolean {
    const holder = this.#holderOf(claim);
    return (holder === undefined || holder === this.name) && !this.claims.includes(claim);
  }

  /** Takes what the user or an earlier state fixes. */
  fix(claim: string, path: string, value: string): void {
    if (!this.isFree(claim)) {
      const holder = this.claims.includes(claim) ? this.name : this.#holderOf(claim);
      this.refuse(path, `must be free, got ${value} of Service ${holder}`);
    }
    this.claims.push(claim);
  }

  refuse(path: string, message: string): void {
    this.issues.push({ path, message, severity: "error" });
  }

  /** The first of `count` candidates that is free, from one that follows from the name on. */
  first<T>(
    seed: string,
    count: number,
    candidate: (index: number) => T,
    claimOf: (value: T) => string,
    what: string,
  ): T | undefined {
    const start = hashText(seed) % Math.max(1, count);
    for (let step = 0; step < count; step++) {
      const value = candidate((start + step) % count);
      const claim = claimOf(value);
      if (!this.isFree(claim)) continue;
      this.claims.push(claim);
      return value;
    }
    this.exhausted ??= `${what}: all ${count} are taken`;
    return undefined;
  }
}

function giveAddresses(
  service: Service,
  previous: Service | undefined,
  plan: FamilyPlan,
  taker: Taker,
): Service {
  const { policy, families } = plan;
  const spec = {
    ...service.spec,
    ipFamilies: families.map(({ family }) => family),
    ipFamilyPolicy: policy,
  };
  if (spec.clusterIP === "None" || previous?.spec.clusterIP === "None") {
    return { ...service, spec: { ...spec, clusterIP: "None", clusterIPs: ["None"] } };
  }
  const clusterIPs = families.flatMap(({ range, address }, index) => {
    if (address !== undefined) {
      const path = index === 0 ? "spec.clusterIP" : `spec.clusterIPs[${index}]`;
      taker.fix(addressClaim(address), path, `"${address}"`);
      return [address];
    }
    const usable = Math.min(cidrSize(range), mostAddresses) - reservedFirst - reservedLast;
    const given = taker.first(
      taker.name,
      usable,
      (at) => addressAt(range, reservedFirst + at),
      addressClaim,
      `an address of ${renderCidr(range)}`,
    );
    return given === undefined ? [] : [given];
  });
  const [clusterIP] = clusterIPs;
  return {
    ...service,
    spec: { ...spec, ...(clusterIP === undefined ? {} : { clusterIP }), clusterIPs },
  };
}

function needsNodePorts({ spec }: Service): boolean {
  if (spec.type === "NodePort") return true;
  return spec.type === "LoadBalancer" && spec.allocateLoadBalancerNodePorts !== false;
}

/** Ports that are given stay with their number and protocol; new ones of one number share a node port. */
function giveNodePorts(service: Service, previous: Service | undefined, taker: Taker): Service {
  const before = new Map(
    (previous?.spec.ports ?? []).map((port) => [`${port.protocol}/${port.port}`, port.nodePort]),
  );
  const ports = service.spec.ports ?? [];
  const fixed = ports.map((port, index) => {
    const nodePort = port.nodePort || before.get(`${port.protocol}/${port.port}`) || 0;
    if (nodePort === 0) return port;
    const path = `spec.ports[${index}].nodePort`;
    if (nodePort < nodePortRange.first || nodePort > nodePortRange.last) {
      taker.refuse(path, `must be ${nodePortRange.first}..${nodePortRange.last}, got ${nodePort}`);
    } else
      taker.fix(portClaim(protocolOf(port), nodePort), path, `${protocolOf(port)}/${nodePort}`);
    return { ...port, nodePort };
  });
  const given: ServicePort[] = [];
  for (const port of fixed) {
    if (port.nodePort) {
      given.push(port);
      continue;
    }
    const twin = [...given, ...fixed].find((one) => one.port === port.port && one.nodePort);
    const nodePort = twin?.nodePort;
    if (nodePort !== undefined && taker.isFree(portClaim(protocolOf(port), nodePort))) {
      taker.claims.push(portClaim(protocolOf(port), nodePort));
      given.push({ ...port, nodePort });
    } else given.push({ ...port, ...newPort(port, taker) });
  }
  return { ...service, spec: { ...service.spec, ports: given } };
}

function newPort(port: ServicePort, taker: Taker): { readonly nodePort?: number } {
  const nodePort = freePort(`${taker.name} ${port.port}`, protocolOf(port), taker);
  return nodePort === undefined ? {} : { nodePort };
}

function freePort(seed: string, protocol: string, taker: Taker): number | undefined {
  const { first, last } = nodePortRange;
  return taker.first(
    seed,
    last - first + 1,
    (at) => first + at,
    (port) => portClaim(protocol, port),
    `a node port of ${first}..${last}`,
  );
}

function protocolOf({ protocol = "TCP" }: ServicePort): string {
  return protocol;
}

function withoutNodePorts(service: Service): Service {
  const { ports } = service.spec;
  if (ports?.some(({ nodePort }) => nodePort !== undefined) !== true) return service;
  const plain = ports.map(({ nodePort: _, ...port }) => port);
  return { ...service, spec: { ...service.spec, ports: plain } };
}

/** A load balancer asks here which nodes have endpoints, where only those may be sent anything. */
function giveHealthPort(service: Service, previous: Service | undefined, taker: Taker): Service {
  const { type, externalTrafficPolicy, healthCheckNodePort: asked = 0 } = service.spec;
  const { healthCheckNodePort: _, ...spec } = service.spec;
  if (type !== "LoadBalancer" || externalTrafficPolicy !== "Local") return { ...service, spec };
  const fixed = asked || previous?.spec.healthCheckNodePort || 0;
  if (fixed !== 0) {
    taker.fix(portClaim("TCP", fixed), "spec.healthCheckNodePort", `${fixed}`);
    return { ...service, spec: { ...spec, healthCheckNodePort: fixed } };
  }
  const port = freePort(`${taker.name} health`, "TCP", taker);
  return {
    ...service,
    spec: { ...spec, ...(port === undefined ? {} : { healthCheckNodePort: port }) },
  };
}
