/** The difference of two rulesets leads the kernel to the same table as the second one loaded afresh. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import type { Pod } from "../../src/api/k8s/core.ts";
import { present } from "../../src/base/error.ts";
import { compileNode } from "../../src/core/dataplane/compile-node.ts";
import { compilePodCapture } from "../../src/core/dataplane/pod-capture.ts";
import { renderRulesetChange } from "../../src/core/dataplane/ruleset-change.ts";
import { viewFor } from "../../src/core/registry/view.ts";
import { objectsOf, type World } from "../../src/core/registry/world.ts";
import type { Ruleset } from "../../src/model/node-state.ts";
import type { ServiceView } from "../../src/model/node-view.ts";
import { renderRuleset } from "../../src/model/ruleset-text.ts";
import { arbitraryWorld } from "../worlds/policy.ts";
import { type Netns, nft, TestNetwork } from "./dataplane-node.ts";

const service: fc.Arbitrary<ServiceView> = fc
  .record({
    clusterIp: fc.constantFrom("10.96.0.1", "10.96.0.2", "172.30.0.1"),
    endpoints: fc.integer({ min: 0, max: 3 }),
    protocol: fc.constantFrom("TCP" as const, "UDP" as const),
  })
  .map(({ clusterIp, endpoints, protocol }) => ({
    namespace: "x",
    name: `s-${clusterIp}`,
    clusterIp,
    ports: [
      {
        name: "",
        protocol,
        port: 80,
        endpoints: Array.from({ length: endpoints }, (_, index) => ({
          address: `10.244.0.${index}`,
          port: 8080,
        })),
      },
    ],
  }));

const ruleset: fc.Arbitrary<Ruleset> = fc
  .record({
    world: arbitraryWorld,
    services: fc.uniqueArray(service, { maxLength: 3, selector: ({ clusterIp }) => clusterIp }),
    attached: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
  })
  .map(({ world, services, attached }) => rulesetOf(world, services, attached));

describe("the difference of two rulesets", { skip: needsRoot() }, () => {
  const network = new TestNetwork();
  let changed: Netns;
  let fresh: Netns;

  before(() => {
    changed = network.netns();
    fresh = network.netns();
  });

  after(() => network[Symbol.asyncDispose]());

  test("leads to the same table as the second one afresh, over a long walk of random states", () => {
    let current = present(fc.sample(ruleset, { seed: 1, numRuns: 1 })[0], "first ruleset");
    nft(changed, renderRuleset(current));
    let changes = 0;
    for (const next of fc.sample(ruleset, { seed: 20240608, numRuns: 40 })) {
      const text = renderRulesetChange(current, next);
      if (text !== undefined) {
        assert.ok(!text.includes("delete table"), "is a change, not a replacement");
        nft(changed, text);
        changes++;
      }
      nft(fresh, renderRuleset(next));
      assert.deepEqual(contents(changed), contents(fresh));
      current = next;
    }
    assert.ok(changes > 30, `${changes} changes`);
  });

  test("replaces the table where a declaration changed", () => {
    const [one] = fc.sample(ruleset, { seed: 2, numRuns: 1 });
    const before = present(one, "ruleset");
    const after: Ruleset = { ...before, sets: before.sets.map((set) => ({ ...set, flags: [] })) };
    assert.match(renderRulesetChange(before, after) ?? "", /^add table .*\ndelete table /);
  });

  test("leaves capture rules that a pod's namespace takes", () => {
    nft(fresh, renderRuleset(compilePodCapture()));
    assert.match(JSON.stringify(contents(fresh)), /redirect/);
  });
});

function rulesetOf(
  world: World,
  services: readonly ServiceView[],
  attached: readonly boolean[],
): Ruleset {
  const view = { ...viewFor(world, "node-1"), services };
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

/** What the kernel has, without handles and without the order in which it was made. */
function contents(where: Netns): unknown {
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
  return { objects, rules: { ...rules, "": [] } };
}

function sorted(list: readonly unknown[]): readonly unknown[] {
  return list
    .map((each) => ({ each, text: JSON.stringify(each) }))
    .sort((a, b) => (a.text < b.text ? -1 : 1))
    .map(({ each }) => each);
}

function needsRoot(): string | false {
  return process.getuid?.() === 0 ? false : "needs root";
}
