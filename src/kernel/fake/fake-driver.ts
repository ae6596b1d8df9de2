/**
 * A kernel in memory: a KernelDriver that passes the conformance suite of the real one.
 *
 * For tests of whatever sits above: everything that was asked of it can be read back, pods' namespaces are declared
 * with `addNetns`, and `failOn` has a step refused. It understands no nftables: it keeps the texts, and takes a plan's
 * word for where they lead. Unlike the real one it remembers a veth's far end over a driver's restart.
 */

import { MeshError, unreachable } from "../../base/error.ts";
import { renderCidr } from "../../base/ip.ts";
import type {
  AddressSpec,
  FastPathSpec,
  ForwardingSpec,
  LinkSpec,
  NeighbourSpec,
  NodeState,
  PodInterface,
  RouteSpec,
  RuleSpec,
  Ruleset,
  Step,
} from "../../model/node-state.ts";
import type { HostLink, KernelDriver } from "../driver.ts";

export interface FakeKernel extends KernelDriver {
  /** Texts of the transactions, oldest first. */
  readonly transactions: readonly string[];
  /** The last ruleset applied in each namespace. */
  readonly rulesetsIn: ReadonlyMap<string, Ruleset>;
  /** Addresses whose connections were forgotten, oldest first. */
  readonly forgotten: readonly string[];
  /** What the machine has beside Heddle's links. */
  readonly machineLinks: HostLink[];
  /** Addresses that have a connection nobody forgets. */
  readonly connections: Set<string>;
  /** Every step taken, oldest first. */
  readonly steps: readonly Step[];
  addNetns(path: string): void;
  /** Deletes a namespace, and with it the links that reach into it. */
  removeNetns(path: string): void;
  /** Has every step refused for which `reason` gives one; undefined ends it. */
  failOn(reason: ((step: Step) => string | undefined) | undefined): void;
}

export function createFakeKernel(): FakeKernel {
  const sysctls = new Map<string, string>();
  const links = new Map<string, LinkSpec>([["lo", loopback]]);
  const addresses = new Map<string, AddressSpec>();
  const routes = new Map<string, RouteSpec>();
  const rules = new Map<string, RuleSpec>();
  const neighbours = new Map<string, NeighbourSpec>();
  const forwarding = new Map<string, ForwardingSpec>();
  const fastPath = new Map<string, FastPathSpec>();
  /** Path → cookie. */
  const namespaces = new Map<string, string>();
  let cookies = 0;
  const transactions: string[] = [];
  const rulesetsIn = new Map<string, Ruleset>();
  const forgotten: string[] = [];
  const connections = new Set<string>();
  const machineLinks: HostLink[] = [];
  const steps: Step[] = [];
  let ruleset: Ruleset | undefined;
  let refuse: ((step: Step) => string | undefined) | undefined;

  const needLink = (object: string, what: string, link: string): void => {
    if (!links.has(link)) throw refused(object, "absent", `${what}: no link ${link}`);
  };
  const needNetns = (path: string): void => {
    if (!namespaces.has(path)) {
      throw refused("netns", "absent", `open network namespace ${path}`);
    }
  };
  const removeLink = (name: string): void => {
    links.delete(name);
    for (const table of [addresses, routes, neighbours, forwarding, fastPath]) {
      for (const [key, entry] of table) if (entry.link === name) table.delete(key);
    }
  };

  return {
    features: { vxlan: true, nftables: true, fastPath: true, wireguard: "available" },
    missing: new Map(),
    fastPathStatus: () => "on",
    transactions,
    rulesetsIn,
    forgotten,
    connections,
    machineLinks,
    steps,

    observe(expected): NodeState {
      return {
        sysctls: sorted(sysctls).map(([key, value]) => ({ key, value })),
        links: sorted(links).flatMap(([name, link]) => (name === "lo" ? [] : [link])),
        addresses: sorted(addresses).map(([, address]) => address),
        routes: sorted(routes).map(([, route]) => route),
        ...(rules.size === 0 ? {} : { rules: sorted(rules).map(([, rule]) => rule) }),
        neighbours: sorted(neighbours).map(([, neighbour]) => neighbour),
        forwarding: sorted(forwarding).map(([, entry]) => entry),
        ...(fastPath.size === 0 ? {} : { fastPath: sorted(fastPath).map(([, each]) => each) }),
        ...(expected === undefined || ruleset === undefined ? {} : { ruleset }),
      };
    },

    hasTable: () => ruleset !== undefined,
    readTable: () => Promise.resolve(),
    hostLinks: () => machineLinks,
    // Keys and bytes are nobody's here.
    wireguard: () => undefined,

    apply(plan) {
      for (const step of plan) {
        const reason = refuse?.(step);
        if (reason !== undefined) throw refused(step.kind.split("-")[0] ?? "", "refused", reason);
        applyStep(step);
        steps.push(step);
      }
    },

    applyRulesetIn(netns, ruleset) {
      needNetns(netns);
      rulesetsIn.set(netns, ruleset);
    },

    removeRulesetIn: (netns) => void rulesetsIn.delete(netns),
    isNetns: (path) => namespaces.has(path),
    netnsCookie: (path) => namespaces.get(path),
    // It understands no nftables, so nothing of a ruleset of the node can be missing.
    checkRuleset: (ruleset, _elements, netns) =>
      netns === undefined || rulesetsIn.has(netns)
        ? []
        : [`nftables table inet ${ruleset.table} is absent`],

    checkPodInterface(wanted) {
      needNetns(wanted.netns);
      const veth = [...links.values()].find(
        (link) => link.kind === "veth" && isSamePlace(link.peer, wanted),
      );
      if (veth?.kind !== "veth") {
        return [`interface ${wanted.ifName} does not exist in ${wanted.netns}`];
      }
      return (["mac", "addresses"] as const)
        .filter((field) => `${veth.peer[field]}` !== `${wanted[field]}`)
        .map((field) => `${wanted.ifName} has ${field} ${veth.peer[field]}, want ${wanted[field]}`);
    },

    connected: (addresses) => addresses.filter((address) => connections.has(address)),
    forgetConnections: (addresses) => void forgotten.push(...addresses),
    forgetUdpConnectionsTo: () => undefined,
    forgetDatagrams: () => 0,
    close: () => undefined,

    addNetns: (path) => void namespaces.set(path, `${++cookies}`),
    removeNetns(path) {
      namespaces.delete(path);
      rulesetsIn.delete(path);
      for (const link of links.values()) {
        if (link.kind === "veth" && link.peer.netns === path) removeLink(link.name);
      }
    },
    failOn(reason) {
      refuse = reason;
    },
  };

  function applyStep(step: Step): void {
    switch (step.kind) {
      case "nft":
        transactions.push(step.text);
        ruleset = step.leadsTo;
        break;
      case "sysctl":
        sysctls.set(step.sysctl.key, step.sysctl.value);
        break;
      case "link-add":
        addLink(step.link);
        break;
      case "link-delete":
        removeLink(step.name);
        break;
      case "address-add":
        needLink("address", `add ${step.address.address}`, step.address.link);
        addresses.set(addressKey(step.address), step.address);
        break;
      case "address-delete":
        addresses.delete(addressKey(step.address));
        break;
      case "route-replace": {
        const destination = renderCidr(step.route.destination);
        if (step.route.link !== undefined) {
          needLink("route", `replace route ${destination}`, step.route.link);
        }
        routes.set(routeKey(step.route), step.route);
        break;
      }
      case "route-delete":
        routes.delete(routeKey(step.route));
        break;
      case "rule-add":
        rules.set(renderCidr(step.rule.source), step.rule);
        break;
      case "rule-delete":
        rules.delete(renderCidr(step.rule.source));
        break;
      case "neighbour-replace":
        needLink("neighbour", `replace ${step.neighbour.address}`, step.neighbour.link);
        neighbours.set(`${step.neighbour.link} ${step.neighbour.address}`, step.neighbour);
        break;
      case "neighbour-delete":
        neighbours.delete(`${step.neighbour.link} ${step.neighbour.address}`);
        break;
      case "forwarding-replace":
        needLink("forwarding", `replace ${step.forwarding.mac}`, step.forwarding.link);
        forwarding.set(`${step.forwarding.link} ${step.forwarding.mac}`, step.forwarding);
        break;
      case "forwarding-delete":
        forwarding.delete(`${step.forwarding.link} ${step.forwarding.mac}`);
        break;
      case "fast-path-put":
        needLink("bpf", "attach", step.fastPath.link);
        fastPath.set(step.fastPath.link, step.fastPath);
        break;
      case "fast-path-delete":
        fastPath.delete(step.fastPath.link);
        break;
      default:
        unreachable(step);
    }
  }

  function addLink(link: LinkSpec): void {
    if (link.kind === "veth") {
      needNetns(link.peer.netns);
      for (const other of links.values()) {
        if (other.kind !== "veth" || other.name === link.name) continue;
        if (!isSamePlace(other.peer, link.peer)) continue;
        const what = `create veth ${link.name}: the pod has an interface ${link.peer.ifName} already`;
        throw refused("link", "exists", what);
      }
    }
    const existing = links.get(link.name);
    if (existing !== undefined && !isKept(existing, link)) removeLink(link.name);
    links.set(link.name, link);
  }
}

/** Stands for `lo`, which is there from the start and is nobody's to plan. */
const loopback: LinkSpec = {
  kind: "veth",
  name: "lo",
  mtu: 65536,
  peer: { netns: "", ifName: "", mac: "", addresses: [] },
};

/** True where the kernel can change the link in place. */
function isKept(existing: LinkSpec, wanted: LinkSpec): boolean {
  if (existing.kind === "veth") {
    return wanted.kind === "veth" && isSamePlace(existing.peer, wanted.peer);
  }
  if (existing.kind === "wireguard") return wanted.kind === "wireguard";
  return (
    wanted.kind === "vxlan" &&
    existing.vni === wanted.vni &&
    existing.port === wanted.port &&
    existing.local === wanted.local
  );
}

function isSamePlace(a: PodInterface, b: PodInterface): boolean {
  return a.netns === b.netns && a.ifName === b.ifName;
}

function routeKey({ destination, table }: RouteSpec): string {
  return `${table ?? ""} ${renderCidr(destination)}`;
}

function addressKey(address: AddressSpec): string {
  return `${address.link} ${address.address}/${address.prefixLength}`;
}

function sorted<T>(table: ReadonlyMap<string, T>): [string, T][] {
  return [...table].sort(([a], [b]) => (a < b ? -1 : 1));
}

function refused(object: string, reason: string, what: string): MeshError {
  return new MeshError(`kernel.${object}.${reason}`, what, { fault: "host" });
}
