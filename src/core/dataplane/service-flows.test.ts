/**
 * The packet flows of kube-proxy's own test table, walked through the rules that we compile from the same Services.
 *
 * Each case runs as it is written, and the IPv4 ones a second time with every address turned into an IPv6 one: the
 * meaning of a Service does not depend on its family. The table is beside the project and skipped where it is absent.
 */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { EndpointSlice, Node, Pod, Service } from "../../api/k8s/core.ts";
import { canonicalIp, familyOf, parseCidr, parseIp } from "../../base/ip.ts";
import type { Ruleset } from "../../model/node-state.ts";
import type { Attachment, NodeView } from "../../model/node-view.ts";
import { viewFor } from "../registry/view.ts";
import { worldOf } from "../registry/world.ts";
import { compileNode } from "./compile-node.ts";
import { hostLinkName } from "./pod-link.ts";
import { serviceChains } from "./services/chains.ts";
import { type Arrival, type Outcome, walk } from "./walk/walk.ts";

const file = join(
  import.meta.dirname,
  "../../../../shared/conformance/k8s-service-flows/cases.json",
);

interface Flow {
  readonly name: string;
  readonly sourceIP: string;
  readonly destIP: string;
  readonly destPort: number;
  readonly protocol: "TCP" | "UDP" | "SCTP";
  readonly verdict?: "REJECT" | "DROP" | "NO_DNAT";
  readonly endpoints?: readonly string[];
  readonly masquerade?: boolean;
}

interface Case {
  readonly name: string;
  readonly services: readonly Service[];
  readonly endpointSlices: readonly EndpointSlice[];
  readonly flows: readonly Flow[];
  readonly afterEndpointsDeleted?: readonly Flow[];
  readonly nodePortAddresses?: readonly string[];
  readonly family?: "IPv4" | "IPv6";
  readonly masqueradeAll?: boolean;
  readonly localTrafficDetector?: boolean;
}

interface Conventions {
  readonly thisNode: string;
  readonly nodeIP: string;
  readonly altNodeIP: string;
  readonly nodeIPv6: string;
  readonly altNodeIPv6: string;
  readonly podCIDR: string;
  readonly serviceCIDR: string;
  readonly defaultNodePortAddresses: readonly string[];
}

interface Table {
  readonly conventions: Conventions;
  readonly cases: readonly Case[];
}

const podCidr6 = "fd00:10::/32"; // where the table's own IPv6 pods are; its conventions name the IPv4 range only

describe("the packet flows of Kubernetes' Services", { skip: absent() }, () => {
  const tally = { ran: 0, passed: 0 };
  if (absent() !== false) return;
  const table: Table = JSON.parse(readFileSync(file, "utf8"));
  const ofIpv4 = table.cases.filter(({ family }) => family !== "IPv6");
  const translated: Table = JSON.parse(inIpv6(JSON.stringify({ ...table, cases: ofIpv4 })));
  for (const [family, { conventions, cases }] of [
    ["as written", table],
    ["in IPv6", translated],
  ] as const) {
    for (const each of cases) {
      const both = [
        ...each.flows.map((flow) => ({ flow, slices: each.endpointSlices })),
        ...(each.afterEndpointsDeleted ?? []).map((flow) => ({ flow, slices: [] })),
      ];
      test(`${each.name}, ${family}`, () => {
        for (const { flow, slices } of both) {
          tally.ran += 1;
          assert.deepEqual(
            { flow: flow.name, ...result({ ...each, endpointSlices: slices }, flow, conventions) },
            { flow: flow.name, ...expected(flow) },
          );
          tally.passed += 1;
        }
      });
    }
  }
  after(() => {
    const { ran, passed } = tally;
    console.log(
      `k8s-service-flows: ${ran} ran, ${passed} passed, ${ran - passed} failed, 0 left out`,
    );
  });
});

interface Result {
  readonly verdict: string;
  readonly endpoints: readonly string[];
  readonly masquerade: boolean;
}

function expected({ verdict, endpoints = [], masquerade = false }: Flow): Result {
  return { verdict: verdict ?? "DNAT", endpoints: [...endpoints].sort(), masquerade };
}

/** Every slot is tried, so the endpoints are all that a connection could get. */
function result(each: Case, flow: Flow, conventions: Conventions): Result {
  const { ruleset, isLocal, route } = nodeOf(each, conventions);
  const own = isLocal(flow.sourceIP) || flow.sourceIP === flow.destIP;
  const arrival: Arrival = {
    source: flow.sourceIP,
    destination: flow.destIP,
    protocol: flow.protocol === "TCP" ? "tcp" : flow.protocol === "UDP" ? "udp" : "sctp",
    destinationPort: flow.destPort,
    ...(own ? {} : { inLink: route(flow.sourceIP) ?? "eth0" }),
  };
  let slots = 1;
  const outcomes: Outcome[] = [];
  for (let slot = 0; slot < slots; slot++) {
    const choose = (count: number) => {
      slots = count;
      return slot;
    };
    outcomes.push(walk(ruleset, arrival, { isLocal, route, choose }));
  }
  return {
    verdict: [...new Set(outcomes.map(verdictOf))].join(),
    endpoints: [
      ...new Set(outcomes.filter(({ packet }) => packet.connection.dnat).map(endpointOf)),
    ].sort(),
    masquerade: outcomes.some(({ masquerade }) => masquerade),
  };
}

function verdictOf({ verdict, packet }: Outcome): string {
  if (verdict !== "accept") return verdict.toUpperCase();
  return packet.connection.dnat ? "DNAT" : "NO_DNAT";
}

function endpointOf({ packet: { destination, destinationPort } }: Outcome): string {
  return familyOf(destination) === "IPv4"
    ? `${destination}:${destinationPort}`
    : `[${destination}]:${destinationPort}`;
}

/** The node of the table, with a pod behind every endpoint that is said to be on it. */
function nodeOf(each: Case, conventions: Conventions) {
  const { thisNode, nodeIP, altNodeIP, nodeIPv6, altNodeIPv6 } = conventions;
  const pods = localPods(each, thisNode);
  const node: Node = {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: thisNode },
    status: { addresses: [{ type: "InternalIP", address: "192.168.0.2" }] },
  };
  const seen = viewFor(
    worldOf([node, ...pods, ...each.services, ...each.endpointSlices]),
    thisNode,
  );
  const isMixed = each.family === "IPv6" && familyOf(conventions.podCIDR) === "IPv4";
  const podCidr = isMixed ? podCidr6 : conventions.podCIDR;
  const view: NodeView = {
    ...seen,
    nodes: seen.nodes.map((one) => ({ ...one, address: nodeIP, addresses: [nodeIP] })),
    settings: {
      ...seen.settings,
      podCidr: parseCidr(podCidr),
      pools: [{ name: "default", cidr: parseCidr(podCidr), masquerade: true }],
      serviceCidrs: [parseCidr(conventions.serviceCIDR)],
      nodePortAddresses: (each.nodePortAddresses ?? conventions.defaultNodePortAddresses).map(
        parseCidr,
      ),
      ...(each.masqueradeAll === true ? { masqueradeAll: true } : {}),
    },
  };
  const attachments = pods.map(attachmentOf);
  const links = new Map(
    attachments.flatMap(({ addresses, hostLink }) =>
      addresses.map((each) => [each, hostLink] as const),
    ),
  );
  const local = new Set([nodeIP, altNodeIP, nodeIPv6, altNodeIPv6, "127.0.0.1"]);
  return {
    ruleset: rulesetOf(each, view, attachments),
    isLocal: (address: string) => local.has(address),
    route: (address: string) => (local.has(address) ? undefined : (links.get(address) ?? "eth0")),
  };
}

function rulesetOf(
  { localTrafficDetector = true, masqueradeAll = false }: Case,
  view: NodeView,
  attachments: readonly Attachment[],
): Ruleset {
  const { ruleset } = compileNode(view, attachments, { vxlan: true, nftables: true }).value;
  assert.ok(ruleset !== undefined);
  if (localTrafficDetector) return ruleset;
  // A node that does not know which addresses are pods': ours always does, the rules do not depend on it.
  const unknowing = serviceChains({
    pods: [],
    services: view.settings.serviceCidrs,
    masqueradeAll,
  });
  const byName = new Map(unknowing.map((chain) => [chain.name, chain]));
  return { ...ruleset, chains: ruleset.chains.map((chain) => byName.get(chain.name) ?? chain) };
}

function localPods({ endpointSlices }: Case, node: string): readonly Pod[] {
  const addresses = endpointSlices.flatMap(({ endpoints }) =>
    endpoints.filter(({ nodeName }) => nodeName === node).flatMap((one) => one.addresses),
  );
  return [...new Set(addresses)].map((address, index) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "pods", name: `pod-${index}`, uid: `pod-${index}` },
    spec: { nodeName: node, containers: [] },
    status: { phase: "Running", podIP: address },
  }));
}

function attachmentOf({ metadata, status }: Pod): Attachment {
  const { name } = metadata;
  return {
    containerId: name,
    ifName: "eth0",
    netns: name,
    namespace: "pods",
    name,
    uid: name,
    addresses: [status?.podIP ?? ""],
    hostLink: hostLinkName(name, "eth0"),
    mac: "",
  };
}

/** `10.0.0.2` becomes `fd64::a00:2`, `10.0.0.0/8` `fd64::a00:0/104`. */
function inIpv6(text: string): string {
  return text
    .replaceAll('"IPv4"', '"IPv6"')
    .replaceAll(/(\d+\.\d+\.\d+\.\d+)(\/\d+)?(:\d+)?/g, (_, address, prefix, port) => {
      const six = canonicalIp(
        `fd64::${parseIp(address)
          .value.toString(16)
          .padStart(8, "0")
          .replace(/(.{4})/, "$1:")}`,
      );
      if (prefix !== undefined) return `${six}/${Number(prefix.slice(1)) + 96}`;
      return port === undefined ? six : `[${six}]${port}`;
    });
}

function absent(): string | false {
  return existsSync(file) ? false : "the table ../shared/conformance/k8s-service-flows is not here";
}
