/**
 * Findings about rules of others: each base chain that drops, or may have dropped what was lost, with the rule and what
 * it hits.
 *
 * The command that helps puts an accept for Heddle's packets before all other rules of that base chain, and changes
 * nothing else: an accept ends this one chain only, so what other tables say about the packet still holds.
 */

import { linkPrefix, podGateway } from "../../model/names.ts";
import type { Finding, Fix, ForeignDrop, TrafficName } from "../../model/network-check.ts";
import type { CheckedNode } from "./findings.ts";
import { hasArrived, pathsOf } from "./path-findings.ts";

const what: Readonly<Record<TrafficName, string>> = {
  "overlay-in": "wrapped packets from other nodes",
  "overlay-out": "wrapped packets to other nodes",
  "node-in": "packets from other nodes that come by the overlay",
  "pods-out": "packets of pods here to pods of other nodes",
  "pods-in": "packets of pods of other nodes to pods here",
  "pods-here": "packets between pods of this node",
  "pods-away": "packets of pods to the outside",
  names: "lookups at the pods' name server",
};

export function foreignHookFindings(
  node: CheckedNode,
  nodes: readonly CheckedNode[],
): readonly Finding[] {
  const drops = (node.evidence?.drops ?? []).filter(
    (drop) => drop.isCertain || isSeen(drop, node, nodes),
  );
  const groups = new Map<string, ForeignDrop[]>();
  for (const drop of drops) {
    const key = [drop.tool, drop.family, drop.table, drop.chain, drop.inChain, drop.rule].join(" ");
    groups.set(key, [...(groups.get(key) ?? []), drop]);
  }
  return [...groups.values()].map((group) => finding(group, node, nodes));
}

/** Whether what it may drop was lost. */
function isSeen(drop: ForeignDrop, node: CheckedNode, nodes: readonly CheckedNode[]): boolean {
  if (drop.traffic === "names") return areNamesLost(node);
  return lostPairs(drop, node, nodes).length > 0;
}

function areNamesLost({ evidence }: CheckedNode): boolean {
  const { pairs, a, aaaa } = evidence?.names?.cluster ?? { pairs: 0 };
  return pairs > 0 && Math.min(a?.answered ?? 0, aaaa?.answered ?? 0) < pairs;
}

/** Overlay paths without any probe that arrived, through the hook that the drop stands in. */
function lostPairs(
  { traffic, peers }: ForeignDrop,
  { name }: CheckedNode,
  nodes: readonly CheckedNode[],
): readonly (readonly [from: string, to: string, link: string])[] {
  const isOut = traffic === "overlay-out";
  if (!isOut && traffic !== "overlay-in" && traffic !== "node-in") return [];
  return pathsOf(nodes)
    .filter((path) => path.probe.way === "overlay" && !hasArrived(path))
    .filter(({ from, to }) =>
      isOut
        ? from.name === name && peers.includes(to.name)
        : to.name === name && peers.includes(from.name),
    )
    .map(({ from, to, probe }) => [from.name, to.name, probe.link] as const);
}

function finding(
  group: readonly ForeignDrop[],
  node: CheckedNode,
  nodes: readonly CheckedNode[],
): Finding {
  const [first] = group;
  const { family, table, chain, hook, device, inChain, rule } = first ?? {};
  const traffics = [...new Set(group.map(({ traffic }) => traffic))];
  const peers = [...new Set(group.flatMap((drop) => drop.peers))].sort();
  const lost = group.flatMap((drop) => lostPairs(drop, node, nodes));
  const isDropping = group.some(({ isCertain }) => isCertain);
  const place = `table ${family} ${table}, chain ${inChain ?? chain}`;
  const [peer, another] = peers;
  const pairOf = (): readonly string[] => {
    const pairs = lost.map(([from, to]) => [from, to] as const);
    const [pair, ...more] = new Map(pairs.map((each) => [each.join(), each])).values();
    if (pair !== undefined && more.length === 0) return pair;
    if (peer === undefined || another !== undefined) return [node.name];
    const isIncoming = traffics.every((each) => /-in$/.test(each));
    return isIncoming ? [peer, node.name] : [node.name, peer];
  };
  return {
    kind: "foreign-hook",
    nodes: pairOf(),
    summary: `a rule that is not Heddle's ${isDropping ? "drops" : "seems to drop"} ${traffics.map((each) => what[each]).join(", ")} on ${node.name}`,
    evidence: [
      `${node.name}: ${place}${inChain === undefined ? "" : `, from chain ${chain}`} (hook ${hook}${device === undefined ? "" : ` of ${device}`}): ${rule ?? "policy drop, and no rule lets them pass"}`,
      ...(peers.length === 0 ? [] : [`other nodes concerned: ${peers.join(", ")}`]),
      ...[
        ...new Set(lost.map(([from, to, link]) => `no probe ${from} → ${to} by ${link} arrived`)),
      ],
    ],
    fixes: commandsFor(group).map((command): Fix => ({ node: node.name, command })),
  };
}

function commandsFor(group: readonly ForeignDrop[]): readonly string[] {
  return [
    ...new Set(group.flatMap((drop) => acceptsFor(drop).map((match) => insertion(drop, match)))),
  ];
}

interface Match {
  readonly nft: string;
  readonly iptables: string;
}

function acceptsFor({ traffic, hook, port }: ForeignDrop): readonly Match[] {
  const from = { nft: `iifname "${linkPrefix}*"`, iptables: `-i ${linkPrefix}+` };
  const to = { nft: `oifname "${linkPrefix}*"`, iptables: `-o ${linkPrefix}+` };
  switch (traffic) {
    case "overlay-in":
    case "overlay-out":
      return [{ nft: `udp dport ${port}`, iptables: `-p udp --dport ${port}` }];
    case "names":
      return (["udp", "tcp"] as const).map((protocol) => ({
        nft: `ip daddr ${podGateway} ${protocol} dport 53`,
        iptables: `-d ${podGateway} -p ${protocol} --dport 53`,
      }));
    default:
      if (hook === "forward") return [from, to];
      return hook === "postrouting" ? [to] : [from];
  }
}

function insertion({ tool, family, table, chain }: ForeignDrop, { nft, iptables }: Match): string {
  if (tool === "nft") return `nft 'insert rule ${family} ${table} ${chain} ${nft} accept'`;
  const program = `${family === "ip6" ? "ip6tables" : "iptables"}-${tool === "iptables" ? "nft" : "legacy"}`;
  const where = table === "filter" ? "" : ` -t ${table}`;
  return `${program}${where} -I ${chain} ${iptables} -j ACCEPT`;
}
