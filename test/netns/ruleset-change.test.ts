/** The difference of two rulesets leads the kernel to the same table as the second one loaded afresh. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { present } from "../../src/base/error.ts";
import { compilePodCapture } from "../../src/core/dataplane/pod-capture.ts";
import { renderRulesetChange } from "../../src/core/dataplane/ruleset-change.ts";
import type { Ruleset } from "../../src/model/node-state.ts";
import { renderRuleset } from "../../src/model/ruleset-text.ts";
import fc from "../property.ts";
import { type Netns, nft, TestNetwork } from "./dataplane-node.ts";
import { contents, randomRuleset } from "./random-rulesets.ts";

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
    let current = present(fc.sample(randomRuleset, { seed: 1, numRuns: 1 })[0], "first ruleset");
    nft(changed, renderRuleset(current));
    let changes = 0;
    for (const next of fc.sample(randomRuleset, { seed: 20240608, numRuns: 40 })) {
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

  test("makes all anew where a declaration changed, but what packets have filled", () => {
    const [one] = fc.sample(randomRuleset, { seed: 2, numRuns: 1 });
    const before = present(one, "ruleset");
    const after: Ruleset = {
      ...before,
      sets: before.sets.map((set) =>
        set.name === "links" ? { ...set, flags: ["interval"] } : set,
      ),
      chains: before.chains.map((chain) =>
        chain.name === "forward"
          ? { ...chain, hook: "type filter hook forward priority 7; policy accept;" }
          : chain,
      ),
    };
    nft(changed, renderRuleset(before));
    nft(changed, "add element inet heddle affinity { 7 . 0x00000001 timeout 60s : 0x00000009 }");
    nft(changed, present(renderRulesetChange(before, after), "difference"));
    const remembered = nft(changed, "list map inet heddle affinity");
    assert.match(remembered, /7 \. 0x00000001 timeout 1m expires \d+s?\d*m?s? : 0x00000009/);
    nft(changed, "flush map inet heddle affinity");
    nft(fresh, renderRuleset(after));
    assert.deepEqual(contents(changed), contents(fresh));
  });

  test("leaves capture rules that a pod's namespace takes", () => {
    const excepting = {
      exceptInboundPorts: [9090, 9091],
      exceptOutboundPorts: [3306],
      exceptOutboundRanges: ["192.0.2.0/24", "192.0.2.128/25", "fd00::/8"],
    };
    const listing = {
      inboundPorts: [80],
      outboundRanges: ["10.0.0.0/8", "0.0.0.0/0", "fd00::/8", "::/0"],
      outboundPorts: [443],
    };
    for (const capture of [undefined, excepting, listing]) {
      nft(fresh, renderRuleset(compilePodCapture(capture)));
      assert.match(JSON.stringify(contents(fresh)), /redirect/);
    }
    nft(fresh, renderRuleset(compilePodCapture({ inboundPorts: [], outboundRanges: [] })));
  });
});

function needsRoot(): string | false {
  return process.getuid?.() === 0 ? false : "needs root";
}
