/**
 * Findings about pairs: who does not reach whom, with which size, and who breaks checksums.
 *
 * What arrived is what the receiver heard, or where it took no part, what it answered. Small probes say whether there
 * is a way, full ones whether packets of pods fit it, datagrams whether checksums that the kernel leaves to the
 * hardware are right at the other end.
 */

import type { Finding, Fix, HeardProbes, PathProbe, Way } from "../../model/network-check.ts";
import type { CheckedNode, CheckInput } from "./findings.ts";

/** One probed direction with both ends' word on it. */
export interface Path {
  readonly from: CheckedNode;
  readonly to: CheckedNode;
  readonly probe: PathProbe;
  /** Absent: the receiver took no part, or heard nothing. */
  readonly heard?: HeardProbes;
}

export function pathsOf(nodes: readonly CheckedNode[]): readonly Path[] {
  const named = new Map(nodes.map((node) => [node.name, node]));
  return nodes.flatMap((from) =>
    (from.evidence?.probes ?? []).flatMap((probe): readonly Path[] => {
      const to = named.get(probe.peer);
      if (to === undefined) return []; // deleted meanwhile
      const heard = to.evidence?.heard.find(
        (each) => each.from === from.name && each.way === probe.way,
      );
      return [{ from, to, probe, ...(heard === undefined ? {} : { heard }) }];
    }),
  );
}

export function hasArrived({ probe, heard }: Path): boolean {
  return probe.small.answered > 0 || (heard?.echoes ?? 0) + (heard?.datagrams ?? 0) > 0;
}

export function pathFindings({ nodes, networkMtu }: CheckInput): readonly Finding[] {
  const paths = pathsOf(nodes).filter(({ to }) => to.evidence !== undefined);
  const tight = paths.filter((path) => hasArrived(path) && isTight(path));
  return [
    ...paths.filter((path) => !hasArrived(path)).flatMap((path) => lost(path, paths)),
    ...tight.flatMap((path) => tooLarge(path, tight, networkMtu)),
    ...paths.flatMap((path) => checksums(path, paths)),
  ];
}

function lost(path: Path, paths: readonly Path[]): readonly Finding[] {
  const { from, to, probe } = path;
  const strict = strictLink(path);
  if (strict !== undefined) return [reversePath(path, strict)];
  const pair = [from.name, to.name];
  const evidence = [
    `${from.name}: none of ${probe.small.sent} echo requests ${probe.from} → ${probe.to} by ${probe.link} is answered`,
    `${to.name}: none of them, and none of ${probe.datagrams} datagrams, has arrived`,
    ...(probe.unsent === undefined
      ? []
      : [`${from.name}: its kernel does not send: ${probe.unsent}`]),
  ];
  if (probe.way === "underlay") {
    const back = paths.find((each) => isBetween(each, to, from, "underlay"));
    const backward = back !== undefined && hasArrived(back) ? "arrive" : "do not arrive either";
    return [
      {
        kind: "unreachable",
        nodes: pair,
        summary: `packets of ${from.name} do not reach ${to.name}`,
        evidence: [...evidence, `those of ${to.name} to ${from.name} ${backward}`],
        fixes: [look(to, `host ${probe.from}`)],
      },
    ];
  }
  const plain = paths.find((each) => isBetween(each, from, to, "underlay"));
  if (plain !== undefined && !hasArrived(plain)) return []; // follows from it
  if (isBlockedByRules(path)) return [];
  return [
    {
      kind: "overlay-blocked",
      nodes: pair,
      summary: `wrapped packets of ${from.name} do not reach ${to.name}: something between them drops the overlay's UDP port`,
      evidence: [...evidence, "unwrapped ones arrive"],
      fixes: [look(to, `udp and host ${probe.from}`)],
    },
  ];
}

/** Whether a rule of others on either node accounts for wrapped packets that are lost; hook-findings.ts says which. */
function isBlockedByRules({ from, to }: Path): boolean {
  const blocks = (node: CheckedNode, peer: string, names: readonly string[]) =>
    (node.evidence?.drops ?? []).some(
      ({ traffic, peers }) => names.includes(traffic) && peers.includes(peer),
    );
  return blocks(to, from.name, ["overlay-in", "node-in"]) || blocks(from, to.name, ["overlay-out"]);
}

function isBetween({ from, to, probe }: Path, a: CheckedNode, b: CheckedNode, way: Way): boolean {
  return from.name === a.name && to.name === b.name && probe.way === way;
}

/** To see with one's own eyes how far packets come, where no command could be known that helps. */
function look(node: CheckedNode, filter: string): Fix {
  return { node: node.name, command: `timeout 10 tcpdump -ni any -c 5 '${filter}'` };
}

/** The receiver's link, where it minds sources and has dropped packets for that. */
function strictLink({ to, probe }: Path): string | undefined {
  const { counters, reversePaths = [] } = to.evidence ?? {};
  if ((counters?.reversePathDrops ?? 0) === 0) return undefined;
  return reversePaths.find(({ way, filter }) => way === probe.way && filter === 1)?.link;
}

function reversePath({ from, to, probe }: Path, link: string): Finding {
  const drops = to.evidence?.counters.reversePathDrops ?? 0;
  return {
    kind: "reverse-path",
    nodes: [from.name, to.name],
    summary: `${to.name} drops what comes from ${from.name} by ${link}: it would answer by another link`,
    evidence: [
      `${from.name}: none of ${probe.small.sent} echo requests ${probe.from} → ${probe.to} by ${probe.link} is answered`,
      `${to.name}: ${drops} packets dropped by reverse path filtering during the check`,
      `${to.name}: rp_filter of ${link} is strict (1, the greater of its own and that of "all")`,
    ],
    fixes: [
      {
        node: to.name,
        command: `sysctl -w net.ipv4.conf.${link.replaceAll(".", "/")}.rp_filter=2`,
      },
    ],
  };
}

/** Small ones arrive, full ones do not, and no router says why. */
function isTight(path: Path): boolean {
  const { full, toldBytes } = path.probe;
  return (
    full.sent > 0 && full.answered === 0 && toldBytes === undefined && largestOf(path) < full.bytes
  );
}

function largestOf({ probe, heard }: Path): number {
  return Math.max(probe.largestBytes ?? 0, heard?.largestBytes ?? 0);
}

function tooLarge(
  path: Path,
  tight: readonly Path[],
  networkMtu: number | undefined,
): readonly Finding[] {
  const { from, to, probe } = path;
  const isUnder = probe.way === "underlay";
  const other = tight.find((each) => isBetween(each, from, to, isUnder ? "overlay" : "underlay"));
  // Pods' packets come first: what is lost beneath them is the same loss.
  if (isUnder && other !== undefined) return [];
  const isFragmented = isUnder && probeOf(from, to, "overlay") !== undefined;
  const largest = largestOf(path);
  const what = `${from.name}: of echo requests ${probe.from} → ${probe.to} by ${probe.link}, "don't fragment" set`;
  return [
    {
      kind: isFragmented ? "fragmented" : "mtu-black-hole",
      nodes: [from.name, to.name],
      summary: isFragmented
        ? `wrapped packets of full size from ${from.name} to ${to.name} arrive in fragments only`
        : `packets from ${from.name} to ${to.name} of more than ${largest} bytes vanish; pods send up to ${probe.full.bytes}`,
      evidence: [
        `${what}, none of ${probe.full.sent} with ${probe.full.bytes} bytes is answered, one with ${largest} bytes is`,
        "nobody sent back that they are too large",
        ...(probe.unsent === undefined ? [] : [`${from.name}: its kernel said: ${probe.unsent}`]),
      ],
      fixes: [smallerLinks(path, tight, networkMtu)],
    },
  ];
}

function probeOf(from: CheckedNode, to: CheckedNode, way: Way): PathProbe | undefined {
  return from.evidence?.probes.find((each) => each.peer === to.name && each.way === way);
}

/** What the links of a pair take, both ways and both directions together. */
function linkBytes({ from, to }: Path, tight: readonly Path[]): number {
  const pair = [from.name, to.name];
  const between = tight.filter(
    (path) => pair.includes(path.from.name) && pair.includes(path.to.name),
  );
  return Math.min(
    ...between.map((path) => {
      const plain = probeOf(path.from, path.to, "underlay")?.full.bytes ?? path.probe.full.bytes;
      return largestOf(path) + plain - path.probe.full.bytes;
    }),
  );
}

/** One end is enough, because routes to a node go by its size; the end that more pairs suffer from is the tight one. */
function smallerLinks(path: Path, tight: readonly Path[], networkMtu: number | undefined): Fix {
  const { from, to, probe } = path;
  const mtu = linkBytes(path, tight);
  if (networkMtu !== undefined) {
    const patch = JSON.stringify({ spec: { mtu } });
    return { node: from.name, command: `kubectl patch network default --type merge -p '${patch}'` };
  }
  const suffering = ({ name }: CheckedNode) =>
    new Set(
      tight.flatMap((each) =>
        each.from.name === name ? each.to.name : each.to.name === name ? each.from.name : [],
      ),
    ).size;
  const [first, second] = from.name < to.name ? [from, to] : [to, from];
  const node = suffering(second) > suffering(first) ? second : first;
  const link = node.evidence?.probes.find(({ way }) => way === "underlay")?.link ?? probe.link;
  return { node: node.name, command: `ip link set dev ${link} mtu ${mtu}` };
}

/**
 * Echoes come and datagrams do not, and the receiver has counted as many that are wrong. Invalid packets count where
 * plain datagrams come: else a filter that takes no datagrams would meet with somebody else's invalid packets.
 */
function checksums(path: Path, paths: readonly Path[]): readonly Finding[] {
  const { from, to, probe, heard } = path;
  const { udpChecksumErrors = 0, invalidPackets = 0 } = to.evidence?.counters ?? {};
  const arrived = heard?.datagrams ?? 0;
  const lost = probe.datagrams - arrived;
  const plain = paths.find((each) => isBetween(each, from, to, "underlay"));
  const isPlainHeard = probe.way === "overlay" && (plain?.heard?.datagrams ?? 0) > 0;
  const wrong = udpChecksumErrors + (isPlainHeard ? invalidPackets : 0);
  if (!hasArrived(path) || lost <= 0 || wrong < lost) return [];
  // Beneath the overlay's device: what the fast path sends passes that by.
  const link = from.evidence?.probes.find(({ way }) => way === "underlay")?.link ?? probe.link;
  const inside = probe.way === "overlay" ? " inside the overlay's packets" : "";
  return [
    {
      kind: "checksum",
      nodes: [from.name, to.name],
      summary: `datagrams from ${from.name} reach ${to.name} with wrong checksums${inside}`,
      evidence: [
        `${from.name}: ${probe.datagrams} datagrams sent ${probe.from} → ${probe.to} by ${probe.link}; ${arrived} arrived, while echo requests do`,
        `${to.name}: during the check InCsumErrors of UDP grew by ${udpChecksumErrors}, and connection tracking refused ${invalidPackets} packets as invalid, which wrong checksums are`,
      ],
      fixes: [{ node: from.name, command: `ethtool -K ${link} tx off` }],
    },
  ];
}
