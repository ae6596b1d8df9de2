/** What is read back of a table: all that differs from a ruleset and nothing else, so that only that is changed. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { present } from "../../src/base/error.ts";
import { planNode } from "../../src/core/dataplane/plan-node.ts";
import type { KernelDriver } from "../../src/kernel/driver.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import type { NodeState, Ruleset } from "../../src/model/node-state.ts";
import { elementsOf, renderRuleset } from "../../src/model/ruleset-text.ts";
import fc from "../property.ts";
import { type Netns, nft, TestNetwork } from "./dataplane-node.ts";
import { needsRoot } from "./kernel-scratch.ts";
import { contents, randomRuleset } from "./random-rulesets.ts";

const random = (seed: number, numRuns: number) => fc.sample(randomRuleset, { seed, numRuns });

describe("the table as a driver finds it", { skip: needsRoot }, () => {
  const network = new TestNetwork();
  let here: Netns;
  let fresh: Netns;

  before(() => {
    here = network.netns();
    fresh = network.netns();
  });
  after(() => network[Symbol.asyncDispose]());

  /** A driver that has not seen the table before, as after a restart. */
  function withDriver<T>(use: (driver: KernelDriver) => T): T {
    const driver = inNetns(here.path, openKernelDriver);
    try {
      return use(driver);
    } finally {
      driver.close();
    }
  }

  /** Text of the transaction that a restarted agent would commit; undefined where there is none. */
  function repair(driver: KernelDriver, ruleset: Ruleset): string | undefined {
    const observed = driver.observe(ruleset);
    const [step, ...more] = planNode({ ...observed, ruleset }, observed);
    assert.deepEqual(more, []);
    if (step === undefined) return undefined;
    driver.apply([step]);
    return step.kind === "nft" ? step.text : assert.fail(step.kind);
  }

  test("is taken as it is by one that wants the same", () => {
    for (const ruleset of random(11, 12)) {
      nft(here, renderRuleset(ruleset));
      assert.equal(
        withDriver((driver) => repair(driver, ruleset)),
        undefined,
      );
    }
  });

  test("becomes any other ruleset by the difference alone, and what packets filled stays", () => {
    nft(here, renderRuleset(present(random(12, 1)[0], "first ruleset")));
    nft(here, "add element inet heddle affinity { 7 . 0x00000001 timeout 1h : 0x00000009 }");
    const remembered = () => nft(here, "list map inet heddle affinity");
    for (const ruleset of random(13, 25)) {
      const text = withDriver((driver) => repair(driver, ruleset));
      assert.doesNotMatch(text ?? "", /delete table|flush table/);
      nft(fresh, renderRuleset(ruleset));
      nft(fresh, "add element inet heddle affinity { 7 . 0x00000001 timeout 1h : 0x00000009 }");
      assert.deepEqual(withoutTimes(contents(here)), withoutTimes(contents(fresh)));
      assert.match(remembered(), /7 \. 0x00000001 timeout 1h expires/);
    }
  });

  test("is repaired where somebody changed it, and only there", () => {
    const ruleset = present(
      random(14, 50).find(({ maps }) =>
        maps.some((map) => map.name === "services" && elementsOf(map).length > 2),
      ),
      "a ruleset with Services",
    );
    const services = present(
      ruleset.maps.find(({ name }) => name === "services"),
      "map of Services",
    );
    const [service = ""] = elementsOf(services).flatMap((some) => [...some.keys()]);
    nft(here, renderRuleset(ruleset));
    const intact = contents(here);
    withDriver((driver) => {
      assert.equal(repair(driver, ruleset), undefined);
      for (const [damage, wanted] of [
        ["flush chain inet heddle forward", /add rule inet heddle forward/],
        ["insert rule inet heddle forward accept", /flush chain inet heddle forward/],
        ["add chain inet heddle theirs", /^flush chain .* theirs\ndelete chain .* theirs\n$/],
        [`delete element inet heddle services { ${service} }`, /^add element inet heddle services/],
        [
          "add element inet heddle services { 10.9.9.9 . tcp . 9 : 0x1 }",
          /^delete element .*services/,
        ],
        ["add element inet heddle masqueraded { 10.9.9.9 }", /^flush set .*masqueraded/],
        ["add set inet heddle theirs { type ipv4_addr; }", /^delete set inet heddle theirs\n$/],
        ["flush ruleset", /^add table/],
        ["add table inet theirs", undefined],
      ] as const) {
        nft(here, damage);
        const text = repair(driver, ruleset);
        if (wanted === undefined) assert.equal(text, undefined, damage);
        else assert.match(text ?? "", wanted, damage);
        assert.deepEqual(contents(here), intact, damage);
      }
    });
  });

  test("is not read while nobody else has changed nftables", () => {
    const [one, two] = random(15, 2).map((each) => present(each, "ruleset"));
    withDriver((driver) => {
      const wanted = (ruleset: Ruleset | undefined): NodeState => ({
        ...driver.observe(),
        ruleset: present(ruleset, "ruleset"),
      });
      driver.apply(planNode(wanted(one), driver.observe()));
      assert.equal(driver.observe(two).ruleset, one, "the very same");
      driver.apply(planNode(wanted(two), wanted(one)));
      assert.equal(driver.observe(one).ruleset, two);
    });
  });

  test("is read after somebody has changed it, and not for what others do to tables of theirs", async () => {
    const [one, two] = random(15, 2).map((each) => present(each, "ruleset"));
    const driver = inNetns(here.path, openKernelDriver);
    const isKnown = () => driver.observe(two).ruleset === one;
    const theirs = "inet theirs";
    driver.apply(planNode({ ...driver.observe(), ruleset: present(one, "one") }, driver.observe()));
    for (const change of [
      `add table ${theirs}`,
      `add chain ${theirs} heddle; add set ${theirs} heddle { type ipv4_addr; }`,
      `add rule ${theirs} heddle accept; add element ${theirs} heddle { 10.0.0.1, 10.0.0.2 }`,
      "add table ip heddle-too; delete table ip heddle-too",
    ]) {
      nft(here, change);
      assert.ok(isKnown(), change);
    }
    for (const change of ["add chain inet heddle theirs", "delete chain inet heddle theirs"]) {
      nft(here, change);
      nft(here, `add rule ${theirs} heddle drop`); // what comes after does not hide it
      const isOne = driver.observe(present(one, "one")).ruleset === one;
      assert.equal(isOne, change.startsWith("delete"), change);
    }
    assert.ok(isKnown(), "it was read just now");
    nft(here, `add rule ${theirs} heddle drop`);
    driver.apply(
      planNode({ ...driver.observe(), ruleset: present(two, "two") }, { ...driver.observe(one) }),
    );
    assert.equal(driver.observe(one).ruleset, two, "what this change met was known");
    nft(here, `delete table ${theirs}`);
    driver.close();
  });
});

function withoutTimes(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (key, each: unknown) =>
    key === "expires" ? undefined : each,
  );
}
