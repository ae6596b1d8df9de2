/**
 * What nodes have seen → what is wrong: each finding with its node or pair, the evidence, and the command that helps.
 *
 * A loss is explained once: where a rule of somebody else or a strict link accounts for it, that is the finding, and
 * the lost probes are its evidence. An empty list means that every pair that was probed carries packets of full size
 * both ways, and that nothing on the nodes stands in the way of what was not probed.
 *
 * Not here: what is sent (agent/check), what rules do (walk-rules.ts).
 */

import type {
  ConnectionForecast,
  Finding,
  FindingKind,
  NodeEvidence,
} from "../../model/network-check.ts";
import { connectionFinding } from "./connection-findings.ts";
import { foreignHookFindings } from "./hook-findings.ts";
import { nodeFindings } from "./node-findings.ts";
import { forecastConnections } from "./occupancy.ts";
import { pathFindings } from "./path-findings.ts";

/** What is known of one node. */
export interface CheckedNode {
  readonly name: string;
  readonly address: string;
  /** Absent: the node took no part. */
  readonly evidence?: NodeEvidence;
  /** Milliseconds since its agent was last heard; absent: never since the server started. */
  readonly silentMs?: number;
}

export interface CheckInput {
  /** All, sorted by name. */
  readonly nodes: readonly CheckedNode[];
  /** `spec.mtu` of the Network, where somebody set it: then links' own sizes do not count. */
  readonly networkMtu?: number;
}

/** Causes before what follows from them. */
const order: readonly FindingKind[] = [
  "node-silent",
  "node-refuses-plan",
  "pod-link",
  "setting",
  "ruleset",
  "foreign-hook",
  "reverse-path",
  "unreachable",
  "overlay-blocked",
  "mtu-black-hole",
  "fragmented",
  "checksum",
  "hairpin",
  "names-silent",
  "names-race",
  "names-slow",
  "connections-full",
  "connections-filling",
];

export function findingsOf(input: CheckInput): readonly Finding[] {
  const { nodes } = input;
  const found = [
    ...nodes.filter(({ evidence }) => evidence === undefined).map((node) => silent(node, nodes)),
    ...pathFindings(input),
    ...nodes.flatMap((node) => foreignHookFindings(node, nodes)),
    ...nodes.flatMap(nodeFindings),
    ...connectionForecasts(nodes).flatMap((each) => {
      const table = nodes.find(({ name }) => name === each.node)?.evidence?.connections;
      return table === undefined ? [] : connectionFinding(each, table);
    }),
  ];
  return found
    .map((finding, index) => ({ finding, index }))
    .sort(
      (a, b) => order.indexOf(a.finding.kind) - order.indexOf(b.finding.kind) || a.index - b.index,
    )
    .map(({ finding }) => finding);
}

export function connectionForecasts(nodes: readonly CheckedNode[]): readonly ConnectionForecast[] {
  return nodes.flatMap(({ name, evidence }) =>
    evidence?.connections === undefined ? [] : forecastConnections(name, evidence.connections),
  );
}

/** The others' probes tell a host without agent from one that is away. */
function silent({ name, address, silentMs }: CheckedNode, nodes: readonly CheckedNode[]): Finding {
  const probes = nodes.flatMap(({ name: from, evidence }) =>
    (evidence?.probes ?? [])
      .filter(({ peer, way }) => peer === name && way === "underlay")
      .map(({ small }) => ({ from, ...small })),
  );
  const reached = probes.find(({ answered }) => answered > 0);
  const heard =
    silentMs === undefined
      ? "its agent has not reported since the server started"
      : `its agent reported ${(silentMs / 1_000).toFixed(0)} s ago`;
  const answers = probes.map(({ from, sent, answered }) =>
    answered > 0
      ? `${from}: ${address} answers echo requests`
      : `${from}: none of ${sent} echo requests to ${address} is answered`,
  );
  return {
    kind: "node-silent",
    nodes: [name],
    summary:
      reached === undefined
        ? `${name} cannot be reached, or is down: it took no part`
        : `${name} is up, and its agent takes no part`,
    evidence: [heard, ...answers],
    fixes: [
      {
        node: name,
        command:
          reached === undefined
            ? `ip -br link; ip -br address; ip route get ${nodes.find((each) => each.name !== name)?.address ?? address}`
            : "systemctl restart heddle-agent",
      },
    ],
  };
}
