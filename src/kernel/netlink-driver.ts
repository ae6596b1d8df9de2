/**
 * The driver of the running kernel: rtnetlink, ctnetlink and libnftables, in process and synchronous.
 *
 * It belongs to the network namespace in which it was opened: its sockets and nftables context stay there, and
 * settings are written there, wherever the thread is later. Each step leaves its object as wanted whatever was there
 * before; deleting what is absent is success.
 *
 * With 100 pods attaching one takes 1.1 ms and detaching one 1.9 ms; README.md has the table.
 *
 * Not here: what is wanted and in which order (core/dataplane).
 */

import { closeSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { renderError } from "../base/error.ts";
import { inTurns, type Turns } from "../base/parts.ts";
import type {
  FastPathSpec,
  KernelFeatures,
  LinkSpec,
  NodeState,
  Ruleset,
  Step,
  Sysctl,
  VethSpec,
} from "../model/node-state.ts";
import { renderNewRuleset, renderRuleset, renderRulesetRemoval } from "../model/ruleset-text.ts";
import type { Link } from "../wire/netlink/link.ts";
import {
  connectedOf,
  forgetConnectionsOf,
  forgetDatagrams,
  forgetUdpConnectionsTo,
} from "./connections.ts";
import type { KernelDriver } from "./driver.ts";
import { openFastPath, type Strangers } from "./fast-path.ts";
import { probeFeatures, requireFeature } from "./features.ts";
import { once } from "./ffi.ts";
import { listHostLinks } from "./host-links.ts";
import { listQueueKinds } from "./limits.ts";
import { applyEntry } from "./link-entries.ts";
import { LinkRemover } from "./link-removal.ts";
import { ensureLink } from "./links.ts";
import { NETLINK_NETFILTER, NETLINK_ROUTE, NetlinkSocket } from "./netlink-socket.ts";
import { inNetns, inNetnsOf, netnsCookie, netnsInode, openNetns, openOwnNetns } from "./netns.ts";
import { NftContext } from "./nftables.ts";
import { observeOurs } from "./observe.ts";
import { linksWithChains, whyLegacyAsks } from "./others-rules.ts";
import { OwnTable } from "./own-table.ts";
import { differencesOf, findLink, withSocketIn } from "./pod-interface.ts";
import { sweepRouting } from "./pod-routes.ts";
import { missingOf } from "./ruleset-check.ts";
import { readSysctl, writeSysctl } from "./sysctl.ts";
import { type NoWireguardKey, openWireguard, type WireguardOptions } from "./wireguard.ts";
import { isAboutOverlay, Wrapping } from "./wrapping.ts";

export interface KernelOptions {
  /** False has the fast path left alone, or taken away where an earlier driver put it. */
  readonly fastPath?: boolean;
  /** Absent: no encrypted overlay can be made, whatever the kernel has. */
  readonly wireguard?: WireguardOptions | NoWireguardKey;
}

/** Opens the driver of the thread's present network namespace. Needs root. */
export function openKernelDriver({
  fastPath: wantsFastPath = true,
  wireguard,
}: KernelOptions = {}): KernelDriver {
  const netns = openOwnNetns();
  const route = new NetlinkSocket(NETLINK_ROUTE);
  const netfilter = new NetlinkSocket(NETLINK_NETFILTER);
  const announcements = new NetlinkSocket(NETLINK_NETFILTER);
  const nft = new NftContext();
  const probe = probeFeatures(route, nft);
  // After nftables was asked: that loads connection tracking, whose functions the program calls.
  const fastPath = openFastPath(wantsFastPath);
  const wrapping = new Wrapping(fastPath.object, { route, netfilter });
  /** Why the kernel did not take it, by link. */
  const refused = new Map<string, string>();
  const made = new Map<string, VethSpec>();
  const settings = new Set<string>();
  const remover = new LinkRemover(route, () => atHome(() => new NetlinkSocket(NETLINK_ROUTE)));

  const atHome = <T>(fn: () => T): T => inNetnsOf(netns, "of the kernel driver", fn);
  const openNetfilter = () => atHome(() => new NetlinkSocket(NETLINK_NETFILTER));

  const encryption = openWireguard({
    socket: route,
    kernel: probe.wireguard,
    options: wireguard,
    atHome,
  });
  const stamping = { legacy: () => atHome(whyLegacyAsks) };
  const table = new OwnTable({
    ...{ nft, netfilter, openSocket: openNetfilter, announcements },
    stamping: fastPath.missing === undefined ? stamping : undefined,
  });

  return {
    features: {
      ...probe.features,
      fastPath: fastPath.missing === undefined,
      ...(encryption.feature === undefined ? {} : { wireguard: encryption.feature }),
    },
    missing: new Map<keyof KernelFeatures, string>([
      ...probe.missing,
      ...(fastPath.missing === undefined ? [] : [["fastPath", fastPath.missing] as const]),
      ...(encryption.missing === undefined ? [] : [["wireguard", encryption.missing] as const]),
    ]),

    fastPathStatus() {
      if (fastPath.missing !== undefined) return fastPath.missing;
      const plain = new Map([...atHome(() => fastPath.plainLinks()), ...refused]);
      const links = [...plain].map(([link, why]) => `${link} takes the plain path: ${why}`);
      const asked = table.whyAsked;
      const buts = [
        ...(asked === undefined ? [] : [`connections open on the plain path: ${asked}`]),
        ...(fastPath.overlay === undefined || wrapping.why === undefined
          ? []
          : [`${fastPath.overlay} itself wraps what goes to other nodes: ${wrapping.why}`]),
        ...links.slice(0, mostLinksTold),
        ...(links.length > mostLinksTold
          ? [`so do ${links.length - mostLinksTold} links more`]
          : []),
      ];
      return buts.length === 0 ? "on" : `on, but ${buts.join("; ")}`;
    },

    observe(expected): NodeState {
      const isAsked = expected !== undefined && probe.features.nftables;
      const ruleset = isAsked ? table.observe(expected) : undefined;
      const { ours, ...observed } = observeOurs(route, made, encryption.specOf);
      for (const link of [...refused.keys()]) {
        if (!ours.some(({ name }) => name === link)) refused.delete(link);
      }
      const paths = observeFastPath(ours);
      atHome(() => wrapping.look(fastPath.overlay));
      return {
        sysctls: atHome(() => observeSysctls(settings)),
        ...observed,
        ...(paths.length === 0 ? {} : { fastPath: paths }),
        ...(ruleset === undefined ? {} : { ruleset }),
      };
    },

    hasTable: () => probe.features.nftables && table.isThere,

    async readTable(expected) {
      for (let tries = 0; tries < mostReadings; tries++) {
        const socket = openNetfilter();
        try {
          if (await inTurns(table.read(socket, expected), turnsEvery(turnMs))) return;
        } finally {
          socket.close();
        }
      }
    },

    hostLinks: () => listHostLinks(route),

    wireguard: encryption.status,

    apply(plan) {
      const indexes = new Map<string, number>();
      const links: LinksOfPlan = {
        strangersOn: once(strangersOnLinks),
        going: new Set(plan.flatMap((each) => (each.kind === "link-delete" ? [each.name] : []))),
        freshPathsLeft: mostFreshPaths,
      };
      let doomed: string[] = [];
      for (const step of plan) {
        // Deletions that follow each other are one: the kernel takes as long for many links as for one.
        if (step.kind === "link-delete") {
          doomed.push(step.name);
          continue;
        }
        removeLinks(doomed, indexes);
        doomed = [];
        applyStep(step, indexes, links);
      }
      removeLinks(doomed, indexes);
      if (plan.some(isAboutOverlay)) atHome(() => wrapping.look(fastPath.overlay));
    },

    applyRulesetIn(path, ruleset) {
      inNetns(path, () => {
        const inside = new NftContext();
        try {
          commitRuleset(inside, ruleset);
        } finally {
          inside.close();
        }
      });
    },

    removeRulesetIn(path, table) {
      if (netnsInode(path) === undefined) return;
      inNetns(path, () => {
        const inside = new NftContext();
        try {
          if (inside.list(table) !== undefined) inside.run(renderRulesetRemoval(table));
        } finally {
          inside.close();
        }
      });
    },

    isNetns: (path) => netnsInode(path) !== undefined,
    netnsCookie,

    checkRuleset(ruleset, elements, path) {
      if (path === undefined) return missingOf(nft, netfilter, ruleset, elements);
      return inNetns(path, () => {
        const inside = new NftContext();
        const socket = new NetlinkSocket(NETLINK_NETFILTER);
        try {
          return missingOf(inside, socket, ruleset, elements);
        } finally {
          socket.close();
          inside.close();
        }
      });
    },

    checkPodInterface(wanted) {
      const fd = openNetns(wanted.netns);
      try {
        return withSocketIn(fd, wanted.netns, (inside) => differencesOf(inside, wanted));
      } finally {
        closeSync(fd);
      }
    },

    connected(addresses) {
      return connectedOf(netfilter, addresses);
    },

    forgetConnections(addresses) {
      forgetConnectionsOf(netfilter, addresses);
    },

    forgetUdpConnectionsTo(ports) {
      forgetUdpConnectionsTo(netfilter, ports);
    },

    forgetDatagrams: (isMeant) => forgetDatagrams(netfilter, isMeant),

    close() {
      fastPath[Symbol.dispose]();
      nft.close();
      netfilter.close();
      announcements.close();
      route.close();
      closeSync(netns);
    },
  };

  function removeLinks(names: readonly string[], indexes: Map<string, number>): void {
    const pods = new Set(names.flatMap((name) => made.get(name)?.peer.netns ?? []));
    for (const name of names) {
      indexes.delete(name);
      made.delete(name);
    }
    remover.remove(names);
    for (const path of pods) sweep(path);
  }

  /** What is at the path may be another's namespace by now, with links of its own; most are gone with their pod. */
  function sweep(path: string): void {
    if (netnsInode(path) === undefined) return;
    const fd = openNetns(path);
    try {
      withSocketIn(fd, path, (inside) => sweepRouting(inside, path));
    } finally {
      closeSync(fd);
    }
  }

  function applyStep(
    step: Exclude<Step, { kind: "link-delete" }>,
    indexes: Map<string, number>,
    links: LinksOfPlan,
  ): void {
    switch (step.kind) {
      case "nft":
        requireFeature(probe, "nftables");
        wrapping.follow(() => table.change(step));
        break;
      case "sysctl":
        atHome(() => writeSysctl(step.sysctl));
        settings.add(step.sysctl.key);
        break;
      case "link-add":
        indexes.delete(step.link.name);
        addLink(step.link);
        break;
      case "fast-path-put":
        putFastPath(step.fastPath, links);
        break;
      case "fast-path-delete": {
        const { fastPath: gone } = step;
        refused.delete(gone.link);
        const stays = links.going.has(gone.link) ? undefined : findLink(route, gone.link);
        leaveToPlainPath(gone, stays);
        break;
      }
      default:
        applyEntry(route, step, indexes);
    }
  }

  /** Of what cannot be told nothing is said: it is put again, or refused there. */
  function observeFastPath(links: readonly Link[]): readonly FastPathSpec[] {
    try {
      const strangersOn = strangersOnLinks();
      return atHome(() => fastPath.observe(links, strangersOn));
    } catch (error) {
      for (const { name } of links) refused.set(name, renderError(error));
      return [];
    }
  }

  function addLink(link: LinkSpec): void {
    if (link.kind === "wireguard") {
      encryption.put(link);
      return;
    }
    if (link.kind === "vxlan") requireFeature(probe, "vxlan");
    ensureLink(route, link);
    if (link.kind === "veth") made.set(link.name, link);
  }

  /** Nothing waits for an accelerator: the packets of a link without take the plain path, and the next look tries again. */
  function putFastPath(spec: FastPathSpec, links: LinksOfPlan): void {
    const link = findLink(route, spec.link);
    try {
      const isFresh = link === undefined || atHome(() => !fastPath.isOn(link));
      if (link === undefined || (isFresh && links.freshPathsLeft === 0)) {
        // A link of the name that it was on before is gone: nothing is to be sent there.
        fastPath.delete(spec, undefined);
        return;
      }
      const isOn = atHome(() => fastPath.put(spec, link, links.strangersOn()(link)));
      // Those that others hold are asked about at every look, and take nobody's turn.
      if (isFresh && isOn) links.freshPathsLeft -= 1;
      refused.delete(spec.link);
    } catch (error) {
      refused.set(spec.link, renderError(error));
      leaveToPlainPath(spec, link);
    }
  }

  /** What an earlier agent left there would go by a map that nobody keeps. */
  function leaveToPlainPath(spec: FastPathSpec, link: Link | undefined): void {
    try {
      atHome(() => fastPath.delete(spec, link));
    } catch (error) {
      refused.set(spec.link, renderError(error));
    }
  }

  function strangersOnLinks(): (link: Link) => Strangers {
    const queues = listQueueKinds(route);
    const hasChain = probe.features.nftables ? linksWithChains(netfilter) : () => false;
    return ({ index, name }) => ({ queues: queues.get(index) ?? [], hasChain: hasChain(name) });
  }
}

/** Of a table that is changed while it is read, as by pods that come and go. */
const mostReadings = 3;
/** Of work that others need not wait for the end of. */
const turnMs = 10;

function turnsEvery(ms: number): Turns {
  let since = performance.now();
  return {
    isDue: () => performance.now() - since > ms,
    async next() {
      await nextTurn();
      since = performance.now();
    },
  };
}

/** A status is to be read. */
const mostLinksTold = 3;

/** What steps of one plan have to know of links that other steps are about. */
interface LinksOfPlan {
  readonly strangersOn: () => (link: Link) => Strangers;
  /** Deleted by the same plan: what is attached goes with them. */
  readonly going: ReadonlySet<string>;
  freshPathsLeft: number;
}

/**
 * Links that get the fast path for the first time, in one plan: for each the kernel waits until no processor is in the
 * middle of a packet, 5 to 20 ms in which the agent does nothing else. The next look goes on with the rest; what an
 * earlier agent put is replaced without a wait.
 */
const mostFreshPaths = 8;

/** A pod's namespace is usually fresh: see renderNewRuleset for what that saves. */
function commitRuleset(nft: NftContext, ruleset: Ruleset): void {
  try {
    nft.run(renderNewRuleset(ruleset));
  } catch {
    nft.run(renderRuleset(ruleset));
  }
}

function observeSysctls(keys: ReadonlySet<string>): Sysctl[] {
  return [...keys].sort().flatMap((key) => {
    const value = readSysctl(key);
    return value === undefined ? [] : [{ key, value }];
  });
}
