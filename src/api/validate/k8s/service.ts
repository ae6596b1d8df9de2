/** Services and the EndpointSlices behind them. */

import type { ServiceSpec } from "../../k8s/core.ts";
import { ipAddress } from "../address.ts";
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

const clusterIp: Check = (value, at) => {
  if (value !== "None" && value !== "") ipAddress(value, at);
};

export const serviceSpec: Check = refine<ServiceSpec>(
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
    loadBalancerIP: text(),
    loadBalancerSourceRanges: anything,
    sessionAffinity: oneOf("ClientIP", "None"),
    sessionAffinityConfig: anything,
    trafficDistribution: text(),
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
    const headless = spec.clusterIP === "None";
    if (!headless && (spec.ports ?? []).length === 0) at.field("ports").error("is required");
    if (headless && (spec.type ?? "ClusterIP") !== "ClusterIP") {
      at.field("clusterIP").error(`must be an IP address with type ${spec.type}, got "None"`);
    }
  },
  ["type", "clusterIP", "externalName", "selector"],
);

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
