/** Node rulesets at random, and what of one the kernel has: for tests that lead a table from one to another. */

import { execFileSync } from "node:child_process";
import fc from "fast-check";
import type { Pod } from "../../src/api/k8s/core.ts";
import { present } from "../../src/base/error.ts";
import { parseCidr } from "../../src/base/ip.ts";
import { compileNode } from "../../src/core/dataplane/compile-node.ts";
import { viewFor } from "../../src/core/registry/view.ts";
import { objectsOf, type World } from "../../src/core/registry/world.ts";
import { rulesStamp } from "../../src/model/names.ts";
import type { Ruleset } from "../../src/model/node-state.ts";
import type { ServiceView } from "../../src/model/node-view.ts";
import { arbitraryWorld } from "../worlds/policy.ts";
import type { Netns } from "./dataplane-node.ts";

const service: fc.Arbitrary<ServiceView> = fc
  .record({
    number: fc.integer({ min: 1, max: 4 }),
    endpoints: fc.integer({ min: 0, max: 3 }),
    protocol: fc.constantFrom("TCP" as const, "UDP" as const, "SCTP" as const),
    isDual: fc.boolean(),
    nodePort: fc.boolean(),
    way: fc.constantFrom<Partial<ServiceView>>(
      {},
      { affinitySeconds: 600 },
      { balancing: "maglev" },
      { internalLocal: true },
      { externalLocal: true },
    ),
    sourceRanges: fc.constantFrom(undefined, ["192.0.2.0/24", "198.51.100.7/32"], ["fd00:7::/32"]),
  })
  .map(({ number, endpoints, protocol, isDual, nodePort, way, sourceRanges }) => {
    const clusterIp = `10.96.0.${number}`;
    const families = isDual ? ["10.244.0.", "fd00:244::"] : ["10.244.0."];
    return {
      namespace: "x",
      name: `s-${number}`,
      clusterIp,
      clusterIps: isDual ? [clusterIp, `fd00:96::${number}`] : [clusterIp],
      external: [{ kind: "load-balancer", address: `203.0.113.${number}` }],
      ...(sourceRanges === undefined ? {} : { sourceRanges: sourceRanges.map(parseCidr) }),
      ...way,
      ports: [
        {
          name: "",
          protocol,
          port: 80,
          ...(nodePort ? { nodePort: 30_000 + number } : {}),
          endpoints: families.flatMap((prefix) =>
            Array.from({ length: endpoints }, (_, index) => ({
              address: `${prefix}${index + 1}`,
              port: 8080,
              node: index === 0 ? "node-1" : "node-2",
            })),
          ),
        },
      ],
    };
  });

/** Of a node with some pods, policies and Services. */
export const randomRuleset: fc.Arbitrary<Ruleset> = fc
  .record({
    world: arbitraryWorld,
    services: fc.uniqueArray(service, { maxLength: 4, selector: ({ name }) => name }),
    attached: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
  })
  .map(({ world, services, attached }) => rulesetOf(world, services, attached));

function rulesetOf(
  world: World,
  services: readonly ServiceView[],
  attached: readonly boolean[],
): Ruleset {
  const view = { ...viewFor(world, "node-1"), services: services.toSorted(byName) };
  const attachments = objectsOf<Pod>(world, "Pod")
    .filter((_, index) => attached[index] === true)
    .map(({ metadata, status }, index) => ({
      containerId: metadata.name,
      ifName: "eth0",
      netns: "",
      namespace: metadata.namespace ?? "",
      name: metadata.name,
      uid: index === 0 ? "another" : (metadata.uid ?? ""),
      addresses: [status?.podIP ?? ""],
      hostLink: `hd${metadata.name.padEnd(10, "0")}`,
      mac: "",
    }));
  const { value } = compileNode(view, attachments, { vxlan: true, nftables: true });
  return present(value.ruleset, "ruleset");
}

/** What the kernel has, without handles, without the order in which it was made, and without the number of its rules. */
export function contents(where: Netns): unknown {
  const json = execFileSync(
    "ip",
    ["netns", "exec", where.name, "nft", "-j", "list", "table", "inet", "heddle"],
    { encoding: "utf8" },
  );
  const { nftables } = JSON.parse(json, (key, value: unknown) => {
    if (key === "handle") return undefined;
    if (key === "elem" && Array.isArray(value)) return sorted(value);
    return value;
  }) as { readonly nftables: readonly { readonly rule?: { readonly chain: string } }[] };
  const objects = sorted(nftables.filter(({ rule }) => rule === undefined));
  const rules = Object.groupBy(nftables, ({ rule }) => rule?.chain ?? "");
  return { objects, rules: { ...rules, [rulesStamp.chain]: [], "": [] } };
}

function byName(a: ServiceView, b: ServiceView): number {
  return a.name < b.name ? -1 : 1;
}

function sorted(list: readonly unknown[]): readonly unknown[] {
  return list
    .map((each) => ({ each, text: JSON.stringify(each) }))
    .sort((a, b) => (a.text < b.text ? -1 : 1))
    .map(({ each }) => each);
}
