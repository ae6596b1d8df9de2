/** What a node says of itself at the end of a check: rules of others and its own, settings, links, connections. */

import { podElements } from "../../core/dataplane/pod-elements.ts";
import { foreignDrops } from "../../core/network-check/traffic.ts";
import { hasOverlay, overlayLink } from "../../core/topology/overlay.ts";
import { readForeignRules } from "../../kernel/foreign-rules.ts";
import { readSysctl } from "../../kernel/sysctl.ts";
import type { NodeEvidence, ReversePath, SettingDrift } from "../../model/network-check.ts";
import type { NodeView } from "../../model/node-view.ts";
import type { NodeParts } from "../node-parts.ts";
import { hairpinFaults } from "./hairpin-probes.ts";

/** Elements of so many pods are asked for one by one. */
const maxPods = 100;
const maxDrops = 200;
/** Where there are no pods, names that their links could have. */
const noPods = ["hd0000000000", "hd0000000001"] as const;

type OfItself = Pick<
  NodeEvidence,
  | "drops"
  | "unread"
  | "ruleset"
  | "settings"
  | "reversePaths"
  | "refused"
  | "podLinks"
  | "hairpinLost"
>;

export async function nodeEvidence(parts: NodeParts, view: NodeView): Promise<OfItself> {
  const uplink = uplinkOf(parts);
  const { chains, unread } = await readForeignRules();
  const [first = noPods[0], second = noPods[1]] = parts.attachments
    .all()
    .map(({ attachment }) => attachment.hostLink);
  const drops = foreignDrops(chains, view, { uplink, pods: [first, second] });
  const refused = parts.dataplane.lastPlan?.error;
  const podLinks = brokenLinks(parts);
  const plain = parts.attachments
    .all()
    .filter(({ phase, sidecar }) => phase === "added" && sidecar === undefined)
    .map(({ attachment }) => attachment);
  const hairpinLost = await hairpinFaults(plain, view.services, parts.clock);
  return {
    drops: drops.slice(0, maxDrops),
    unread,
    ruleset: missingRules(parts),
    settings: drifts(parts),
    reversePaths: reversePaths(view, uplink),
    ...(refused === undefined ? {} : { refused }),
    ...(podLinks.length === 0 ? {} : { podLinks }),
    ...(hairpinLost.length === 0 ? {} : { hairpinLost }),
  };
}

/** The link that has the node's address; "" where none has. */
export function uplinkOf({ driver, underlay }: NodeParts): string {
  const [own] = underlay.addresses;
  const link = driver.hostLinks().find((each) => each.addresses.some((one) => one.address === own));
  return link?.name ?? "";
}

function brokenLinks({ dataplane, attachments }: NodeParts): readonly string[] {
  return attachments
    .all()
    .flatMap(({ attachment: { namespace, name, hostLink } }) => {
      const why = dataplane.brokenLinks.get(hostLink);
      return why === undefined ? [] : [`pod ${namespace}/${name}: ${why}`];
    })
    .slice(0, maxPods);
}

function missingRules({ dataplane, driver, attachments }: NodeParts): readonly string[] {
  const ruleset = dataplane.inForce.get()?.ruleset;
  if (ruleset === undefined) return [];
  const elements = attachments
    .all()
    .filter(({ phase }) => phase === "added")
    .slice(0, maxPods)
    .flatMap(({ attachment }) => podElements(ruleset, attachment));
  return driver.checkRuleset(ruleset, elements);
}

function drifts({ dataplane }: NodeParts): readonly SettingDrift[] {
  return (dataplane.inForce.get()?.sysctls ?? []).flatMap(({ key, value: wanted }) => {
    const found = readSysctl(key);
    if (found === wanted) return [];
    return [{ key: key.replaceAll("/", "."), wanted, ...(found === undefined ? {} : { found }) }];
  });
}

function reversePaths(view: NodeView, uplink: string): readonly ReversePath[] {
  const filter = (link: string): number =>
    Math.max(
      ...["all", link].map((name) => Number(readSysctl(`net/ipv4/conf/${name}/rp_filter`) ?? 0)),
    );
  const { encap } = view.settings;
  const overlay = hasOverlay(encap) ? [overlayLink(encap)] : [];
  return [
    ...(uplink === "" ? [] : [{ way: "underlay" as const, link: uplink, filter: filter(uplink) }]),
    ...overlay.map((link) => ({ way: "overlay" as const, link, filter: filter(link) })),
  ];
}
