/**
 * What Heddle asks of a kernel: observe the objects that are ours, apply a plan. Spec is data, object is live.
 *
 * A driver works on one network namespace (the node's). Everything is synchronous: each call is microseconds to a few
 * milliseconds of syscalls on a netlink socket, and nothing may happen between the steps of a plan.
 */

import type {
  DatagramConnection,
  KernelFeatures,
  NftElement,
  NodeState,
  Plan,
  PodInterface,
  Ruleset,
} from "../model/node-state.ts";
import type { WireguardDevice } from "../wire/wireguard/dump.ts";

/** A link of the machine's that is not Heddle's. */
export interface HostLink {
  readonly name: string;
  /** Bytes. */
  readonly mtu: number;
  readonly addresses: readonly { readonly address: string; readonly prefixLength: number }[];
}

/** The node's WireGuard device as it is now. */
export interface WireguardStatus {
  readonly maker: "kernel" | "wireguard-go";
  readonly device: WireguardDevice;
}

export interface KernelDriver {
  /** Probed once, then remembered. */
  readonly features: KernelFeatures;
  /** For each missing feature, what is missing and what would bring it. */
  readonly missing: ReadonlyMap<keyof KernelFeatures, string>;
  /** `on`, or what takes the plain path although it could take the fast one, and why. As it is now. */
  fastPathStatus(): string;
  /**
   * Links `hd*`, addresses and routes of ours, VXLAN neighbours and forwarding entries; settings that this driver
   * wrote. Of the ruleset, how far the table is `expected`: absent where there is no table or nothing is expected;
   * what packets fill counts as expected. That costs next to nothing while nobody else has changed the table since this
   * driver did, else a listing of rules and elements.
   *
   * The far end of a veth that this driver neither made nor adopted, or that is down, has empty fields; `link-add`
   * completes or repairs such a link in place, so it is planned wherever a link differs.
   */
  observe(expected?: Ruleset): NodeState;
  /** Whether there is a table of ours, whatever is in it. */
  hasTable(): boolean;
  /**
   * Reads the table with turns for others in between, so that `observe(expected)` has less to do: nothing where nobody
   * changes the table until then. Where it is known to be as this driver left it, nothing is read. Where there is none,
   * only others' rules are.
   */
  readTable(expected: Ruleset): Promise<void>;
  /** The machine's own links that are up. */
  hostLinks(): readonly HostLink[];
  /** Undefined where there is none, or no `wg` to ask. */
  wireguard(): WireguardStatus | undefined;
  /** Takes the steps in order; throws MeshError `kernel.<object>.<reason>` at the first that the kernel refuses. */
  apply(plan: Plan): void;
  /** Applies a whole ruleset inside another network namespace (capture rules of a pod). Replaces ours there. */
  applyRulesetIn(netns: string, ruleset: Ruleset): void;
  /** Removes ours from another network namespace; none, or no such namespace, is success. */
  removeRulesetIn(netns: string, table: string): void;
  /** Whether a network namespace is at the path. */
  isNetns(path: string): boolean;
  /**
   * What no other namespace of this boot has or will have; undefined where there is none at the path, it cannot be
   * asked, or the kernel does not tell (Linux before 5.14).
   */
  netnsCookie(path: string): string | undefined;
  /**
   * What of a ruleset is not in force, as sentences: chains and rules that are gone, and those of `elements`. In
   * another namespace where `netns` says so. Lists the table's rules, so it is for CNI CHECK and no loop.
   */
  checkRuleset(
    ruleset: Ruleset,
    elements: readonly NftElement[],
    netns?: string,
  ): readonly string[];
  /** What is wrong with a pod's side of its link, as sentences; empty when all is as given. For CNI CHECK. */
  checkPodInterface(wanted: PodInterface): readonly string[];
  /** Those of the addresses that open or answer a tracked connection (conntrack). */
  connected(addresses: readonly string[]): readonly string[];
  /** Forgets connections of addresses that are gone (conntrack), so that later owners do not inherit them. */
  forgetConnections(addresses: ReadonlySet<string>): void;
  /** Forgets UDP connections that were addressed to one of the ports: it has a new owner. */
  forgetUdpConnectionsTo(ports: ReadonlySet<number>): void;
  /** Forgets the UDP and SCTP connections that are meant; answers how many. */
  forgetDatagrams(isMeant: (connection: DatagramConnection) => boolean): number;
  close(): void;
}
