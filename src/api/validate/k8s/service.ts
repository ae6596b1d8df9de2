/** Services and the EndpointSlices behind them. */

import { cidrContains, familyOf, isIp, parseCidr } from "../../../base/ip.ts";
import {
  balancingAnnotation,
  type Pod,
  type Service,
  type ServiceSpec,
  weightAnnotation,
} from "../../k8s/core.ts";
import { cidrProblem, ipAddress } from "../address.ts";
import { dnsLabel, labels, plainHost, portName } from "../names.ts";
import { type Check, type Place, refine } from "../schema/check.ts";
import { type Fields, list, mapOf, record } from "../schema/record.ts";
import {
  anything,
  boolean,
  integer,
  nonEmpty,
  numberOr,
  oneOf,
  portNumber,
  text,
} from "../schema/scalar.ts";

const protocol = oneOf("TCP", "UDP", "SCTP");

const servicePort = record({
  name: dnsLabel,
  protocol,
  "port!": portNumber,
  targetPort: numberOr(portNumber, portName),
  nodePort: integer(0, 65535),
  appProtocol: nonEmpty,
});

const longestAffinitySeconds = 86_400; // Kubernetes': a day

const clusterIp: Check = (value, at) => {
  if (value !== "None" && value !== "") ipAddress(value, at);
};

const ofItsType: Check = refine<ServiceSpec>(
  record({
    type: oneOf("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"),
    clusterIP: clusterIp,
    clusterIPs: list(clusterIp),
    selector: mapOf(text()),
    ports: refine<NonNullable<ServiceSpec["ports"]>>(list(servicePort), distinctPorts),
    externalName: text(),
    publishNotReadyAddresses: boolean,
    allocateLoadBalancerNodePorts: boolean,
    externalIPs: list(ipAddress),
    externalTrafficPolicy: oneOf("Cluster", "Local"),
    healthCheckNodePort: integer(0, 65535),
    internalTrafficPolicy: oneOf("Cluster", "Local"),
    ipFamilies: list(oneOf("IPv4", "IPv6")),
    ipFamilyPolicy: oneOf("SingleStack", "PreferDualStack", "RequireDualStack"),
    loadBalancerClass: text(),
    loadBalancerIP: text((value) =>
      value === "" || isIp(value) ? undefined : "must be an IP address",
    ),
    loadBalancerSourceRanges: list(text((value) => cidrProblem(value.trim()))),
    sessionAffinity: oneOf("ClientIP", "None"),
    sessionAffinityConfig: record({
      clientIP: record({ timeoutSeconds: integer(1, longestAffinitySeconds) }),
    }),
    trafficDistribution: oneOf("PreferClose", "PreferSameZone", "PreferSameNode"),
  }),
  (spec, at) => {
    labels(spec.selector ?? {}, at.field("selector"));
    if (spec.type === "ExternalName") {
      if (spec.externalName === undefined) {
        at.field("externalName").error("is required with type ExternalName");
      } else plainHost(spec.externalName, at.field("externalName"));
      if (spec.clusterIP) {
        at.field("clusterIP").error(
          `must be absent with type ExternalName, got "${spec.clusterIP}"`,
        );
      }
      return;
    }
    families(spec, at);
    const headless = spec.clusterIP === "None";
    if (!headless && (spec.ports ?? []).length === 0) at.field("ports").error("is required");
    if (headless && (spec.type ?? "ClusterIP") !== "ClusterIP") {
      at.field("clusterIP").error(`must be an IP address with type ${spec.type}, got "None"`);
    }
  },
  ["type", "clusterIP", "clusterIPs", "externalName", "ipFamilies", "selector"],
);

export const serviceSpec: Check = refine(ofItsType, outsideFields, [
  "type",
  "externalIPs",
  "loadBalancerSourceRanges",
  "ports",
]);

/** Addresses and families say the same twice: both lists are in one order, and `clusterIP` is the first of them. */
function families(spec: ServiceSpec, at: Place): void {
  const { clusterIP = "", clusterIPs = [], ipFamilies = [], ipFamilyPolicy } = spec;
  for (const [field, values] of [
    ["clusterIPs", clusterIPs.filter(isIp).map(familyOf)],
    ["ipFamilies", ipFamilies],
  ] as const) {
    if (new Set(values).size < values.length || values.length > 2) {
      at.field(field).error("must be at most one of each family");
    }
  }
  const [first = ""] = clusterIPs;
  if (clusterIP !== "" && first !== "" && clusterIP !== first) {
    at.field("clusterIPs").item(0).error(`must be "${clusterIP}" as clusterIP, got "${first}"`);
  }
  for (const [index, address] of clusterIPs.entries()) {
    const family = ipFamilies[index];
    if (family !== undefined && isIp(address) && familyOf(address) !== family) {
      at.field("clusterIPs")
        .item(index)
        .error(`must be an ${family} address as ipFamilies[${index}], got "${address}"`);
    }
  }
  const both = Math.max(ipFamilies.length, clusterIPs.filter(isIp).length);
  if (ipFamilyPolicy === "SingleStack" && both > 1) {
    at.field("ipFamilyPolicy").error(
      `must be PreferDualStack or RequireDualStack with two families, got "SingleStack"`,
    );
  }
}

/** What only Services that are reached from outside have. */
function outsideFields(spec: ServiceSpec, at: Place): void {
  if (spec.type === "ExternalName") return;
  const { type = "ClusterIP", externalTrafficPolicy, loadBalancerSourceRanges = [] } = spec;
  const isReached = type !== "ClusterIP" || (spec.externalIPs ?? []).length > 0;
  if (externalTrafficPolicy !== undefined && !isReached) {
    at.field("externalTrafficPolicy").error(
      `must be absent with type ${type} and no externalIPs, got "${externalTrafficPolicy}"`,
    );
  }
  if (loadBalancerSourceRanges.length > 0 && type !== "LoadBalancer") {
    at.field("loadBalancerSourceRanges").error(`must be absent with type ${type}`);
  }
  for (const [index, { nodePort = 0 }] of (spec.ports ?? []).entries()) {
    if (nodePort !== 0 && type === "ClusterIP") {
      at.field("ports")
        .item(index)
        .field("nodePort")
        .error(`must be absent with type ClusterIP, got ${nodePort}`);
    }
  }
  for (const [index, address] of (spec.externalIPs ?? []).entries()) {
    if (isIp(address) && isNobodys(address)) {
      const what =
        "must be an address that others can reach: not a loopback, link-local or unspecified one";
      at.field("externalIPs").item(index).error(`${what}, got "${address}"`);
    }
  }
}

function isNobodys(address: string): boolean {
  return unreachable.some((range) => cidrContains(range, address));
}

const unreachable = [
  "0.0.0.0/32",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "224.0.0.0/24",
  "::/128",
  "::1/128",
  "fe80::/10",
  "ff02::/16",
].map(parseCidr);

/** What a Service's annotations of ours say. Only asked of objects of the right shape. */
export function serviceAnnotations(service: unknown, at: Place): void {
  const { metadata } = service as Service;
  const balancing = metadata.annotations?.[balancingAnnotation];
  if (balancing === undefined || balancing === "random" || balancing === "maglev") return;
  annotation(at, balancingAnnotation).error(
    `must be one of random, maglev, got ${JSON.stringify(balancing)}`,
  );
}

/** The share of a pod among a Service's. Only asked of objects of the right shape. */
export function podWeight(pod: unknown, at: Place): void {
  const { metadata } = pod as Pod;
  const weight = metadata.annotations?.[weightAnnotation];
  if (weight === undefined || (/^\d{1,4}$/.test(weight) && Number(weight) <= 1000)) return;
  annotation(at, weightAnnotation).error(
    `must be a whole number of 0..1000, got ${JSON.stringify(weight)}`,
  );
}

function annotation(at: Place, name: string): Place {
  return at.field("metadata").field("annotations").entry(name);
}

function distinctPorts(ports: NonNullable<ServiceSpec["ports"]>, at: Place): void {
  const names = new Set<string>();
  const numbers = new Set<string>();
  for (const [index, { name = "", port, protocol: one = "TCP" }] of ports.entries()) {
    if (name === "" && ports.length > 1) {
      at.item(index).field("name").error("is required where there are several ports");
    } else if (names.has(name)) {
      at.item(index).field("name").error(`must be unique among ports, got "${name}"`);
    }
    names.add(name);
    if (numbers.has(`${one}/${port}`)) {
      at.item(index).error(
        `must differ from the other ports in port or protocol, got ${one}/${port}`,
      );
    }
    numbers.add(`${one}/${port}`);
  }
}

/** What an EndpointSlice has beside metadata: it has no spec. */
export const endpointSliceFields: Fields = {
  "addressType!": oneOf("IPv4", "IPv6", "FQDN"),
  ports: list(
    record({
      name: text(),
      protocol,
      port: portNumber,
      appProtocol: text(),
    }),
  ),
  "endpoints!": list(
    record({
      "addresses!": list(nonEmpty, 1),
      conditions: record({ ready: boolean, serving: boolean, terminating: boolean }),
      hostname: dnsLabel,
      nodeName: text(),
      zone: text(),
      targetRef: anything,
      hints: anything,
      deprecatedTopology: anything,
    }),
  ),
};
