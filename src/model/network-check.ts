/**
 * A check of the paths between nodes: what the server orders, what agents see, what is concluded from it.
 *
 * The server leads all nodes through three phases with the answers to their reports: first everybody listens and
 * counts, then everybody probes, then everybody says what it has seen. So what was sent and what arrived can be
 * compared, and a loss has a direction. All is JSON; what is absent is not known.
 */

import type { NodeName } from "./names.ts";

// ---- orders: server → agent, with the answer to a report ---------------------------------------------------------

export type CheckPhase = "prepare" | "probe" | "conclude";

export interface CheckOrder {
  /** Eight hexadecimal digits; probes carry them, so that those of another check are told apart. */
  readonly id: string;
  readonly phase: CheckPhase;
  /** Where the others take datagrams; empty until all have said. */
  readonly peers: readonly CheckPeer[];
}

export interface CheckPeer {
  readonly node: NodeName;
  /** UDP, open while the check runs. */
  readonly port: number;
}

// ---- reports: agent → server -------------------------------------------------------------------------------------

/** How far a node has come; said with each report while the check is ordered. */
export type CheckProgress =
  | { readonly check: string; readonly phase: "prepared"; readonly port: number }
  | { readonly check: string; readonly phase: "probed" }
  | { readonly check: string; readonly phase: "concluded"; readonly evidence: NodeEvidence };

/** `overlay`: wrapped, by the overlay's link, as packets of pods go to nodes that are not their own next hop. */
export type Way = "underlay" | "overlay";

export interface NodeEvidence {
  /** What this node sent. */
  readonly probes: readonly PathProbe[];
  /** What arrived here of the probes of others. */
  readonly heard: readonly HeardProbes[];
  /** Increases during the check. */
  readonly counters: CounterIncreases;
  readonly reversePaths: readonly ReversePath[];
  readonly drops: readonly ForeignDrop[];
  /** Tables of others that were not understood to the end, and why. */
  readonly unread: readonly string[];
  /** What of our own ruleset is not in force, as sentences. */
  readonly ruleset: readonly string[];
  readonly settings: readonly SettingDrift[];
  /** Why the kernel did not take the last plan. */
  readonly refused?: string;
  /** Pods whose link could not be made as wanted, and why, as sentences; absent where there are none. */
  readonly podLinks?: readonly string[];
  /** Pods whose connections to themselves through a Service were lost, as sentences; absent where there are none. */
  readonly hairpinLost?: readonly string[];
  readonly names?: NameLookups;
  readonly connections?: ConnectionTable;
  /** The agent's own socket: what it is told to do, it is told there. */
  readonly agentSocket: string;
}

/** Echo requests with "don't fragment" set, and datagrams, from one node to another on one way. */
export interface PathProbe {
  readonly peer: NodeName;
  readonly way: Way;
  readonly from: string;
  readonly to: string;
  /** The link that packets leave by. */
  readonly link: string;
  readonly small: Tries;
  /** The largest packet that pods (on the underlay: their wrapped packets) make on this way. */
  readonly full: Tries & { readonly bytes: number };
  /** Largest that was answered, where `full` was not: to the byte. */
  readonly largestBytes?: number;
  /** A router said that `full` is too large, and what would fit. */
  readonly toldBytes?: number;
  readonly datagrams: number;
  /** Why the node's own kernel did not send. */
  readonly unsent?: string;
  readonly roundTripMs?: number;
}

export interface Tries {
  readonly sent: number;
  readonly answered: number;
}

export interface HeardProbes {
  readonly from: NodeName;
  readonly way: Way;
  readonly echoes: number;
  readonly largestBytes: number;
  readonly datagrams: number;
}

/** Of the node's network namespace. */
export interface CounterIncreases {
  readonly udpChecksumErrors: number;
  readonly tcpChecksumErrors: number;
  readonly icmpChecksumErrors: number;
  /** Packets that connection tracking took for invalid, and our rules drop: wrong checksums come first of all there. */
  readonly invalidPackets: number;
  /** Packets whose source would be answered by another link, where the link minds. */
  readonly reversePathDrops: number;
}

/** How strict a link is about sources, and how strict it could be told to be. */
export interface ReversePath {
  readonly way: Way;
  readonly link: string;
  /** In force: the greater of the link's and `all`'s. 0: no, 1: strict, 2: loose. */
  readonly filter: number;
}

/** A rule or policy of somebody else that drops what Heddle must get through. */
export interface ForeignDrop {
  readonly traffic: TrafficName;
  /** `nft` or `iptables-legacy`: what the chain is changed with. */
  readonly tool: "nft" | "iptables" | "iptables-legacy";
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly hook: string;
  /** False: it may, and is named only where something was lost. */
  readonly isCertain: boolean;
  /** The chain that the drop stands in, where a base chain jumps to it. */
  readonly inChain?: string;
  /** As its tool prints it; absent: the base chain's policy. */
  readonly rule?: string;
  /** Of the hooks of a link. */
  readonly device?: string;
  /** The port that it is about, where there is one. */
  readonly port?: number;
  /** The other nodes whose packets it drops; empty where it is not about other nodes. */
  readonly peers: readonly NodeName[];
}

/** What has to get through a node; which hooks it passes stands in core/network-check/traffic.ts. */
export const trafficNames = [
  "overlay-in",
  "overlay-out",
  "node-in",
  "pods-out",
  "pods-in",
  "pods-here",
  "pods-away",
  "names",
] as const;
export type TrafficName = (typeof trafficNames)[number];

export interface SettingDrift {
  readonly key: string;
  /** Absent: there is no such setting. */
  readonly found?: string;
  readonly wanted: string;
}

/** Pairs of A and AAAA from one socket to the pods' name server. */
export interface NameLookups {
  readonly server: string;
  /** Of the process that listens there. */
  readonly pid?: number;
  readonly cluster: LookupPairs;
  /** For a name outside the cluster; absent where the node has no servers for such. */
  readonly outside?: LookupPairs;
}

export interface LookupPairs {
  readonly name: string;
  readonly pairs: number;
  readonly a: LookupTries;
  readonly aaaa: LookupTries;
}

export interface LookupTries {
  readonly answered: number;
  /** Answers that say "server failure". */
  readonly failures: number;
  readonly slowestMs: number;
}

export interface ConnectionTable {
  readonly max: number;
  readonly samples: readonly ConnectionSample[];
  /** Increases since the first sample. */
  readonly dropped: number;
  readonly insertFailed: number;
  readonly earlyDropped: number;
}

export interface ConnectionSample {
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  readonly count: number;
}

// ---- conclusions: server → CLI -----------------------------------------------------------------------------------

export interface NetworkCheck {
  readonly at: number;
  readonly tookMs: number;
  /** Nodes that took part, sorted. */
  readonly nodes: readonly NodeName[];
  /** Pairs and ways on which a probe was answered or heard. */
  readonly paths: number;
  readonly probed: number;
  readonly findings: readonly Finding[];
  /** What could not be judged, as sentences that begin with the node. */
  readonly unjudged: readonly string[];
  readonly connections: readonly ConnectionForecast[];
}

/** Stable: programs may read them; docs/tasks/check-network.md says what each means. */
export type FindingKind =
  | "node-silent"
  | "node-refuses-plan"
  | "pod-link"
  | "unreachable"
  | "overlay-blocked"
  | "mtu-black-hole"
  | "fragmented"
  | "checksum"
  | "reverse-path"
  | "foreign-hook"
  | "hairpin"
  | "ruleset"
  | "setting"
  | "names-silent"
  | "names-race"
  | "names-slow"
  | "connections-full"
  | "connections-filling";

export interface Finding {
  readonly kind: FindingKind;
  /** The pair, the sender first; a finding about one node names just that. */
  readonly nodes: readonly NodeName[];
  readonly summary: string;
  readonly evidence: readonly string[];
  readonly fixes: readonly Fix[];
}

/** A command line for a shell of root on a node. */
export interface Fix {
  readonly node: NodeName;
  readonly command: string;
}

export interface ConnectionForecast {
  readonly node: NodeName;
  readonly count: number;
  readonly max: number;
  /** Connections a second, with the bounds of a 90 % interval; absent before there are enough samples. */
  readonly growth?: { readonly low: number; readonly mean: number; readonly high: number };
  /**
   * Seconds until the table is full at that growth; absent where it may never be. `late` is absent where the slow end
   * is no growth.
   */
  readonly full?: { readonly early: number; readonly late?: number };
}
