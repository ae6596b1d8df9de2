/** Rulesets and transactions, as `nft` sees them afterwards. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { describe, test } from "node:test";
import { renderError } from "../../src/base/error.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import { NftContext } from "../../src/kernel/nftables.ts";
import type { Ruleset } from "../../src/model/node-state.ts";
import { renderRuleset } from "../../src/model/ruleset-text.ts";
import { needsRoot, output, Scratch } from "./kernel-scratch.ts";

/** Every kind of forward reference: elements to chains, rules to chains, rules to sets. */
const ruleset: Ruleset = {
  table: "heddle",
  sets: [
    { name: "pods", type: "type ipv4_addr", elements: ["10.244.0.5", "10.244.0.6"] },
    { name: "none", type: "type ipv4_addr . inet_service", flags: ["interval"], elements: [] },
  ],
  maps: [
    {
      name: "services",
      type: "type ipv4_addr . inet_proto . inet_service : verdict",
      elements: new Map([["10.96.0.1 . tcp . 80", "goto service-2"]]),
    },
    {
      name: "endpoints",
      type: "typeof ip daddr . meta l4proto . th dport . numgen random mod 2 : ip daddr . th dport",
      elements: new Map([
        ["10.96.0.1 . tcp . 80 . 0", "10.244.0.5 . 8080"],
        ["10.96.0.1 . tcp . 80 . 1", "10.244.0.6 . 8080"],
      ]),
    },
    { name: "links", type: "type ifname : verdict", elements: new Map([['"hd05"', "jump known"]]) },
  ],
  chains: [
    {
      name: "prerouting",
      hook: "type nat hook prerouting priority dstnat; policy accept;",
      rules: ['ip daddr . meta l4proto . th dport vmap @services comment "shop/cart"'],
    },
    {
      name: "forward",
      hook: "type filter hook forward priority filter; policy accept;",
      rules: ["ct state established,related accept", "iifname vmap @links", 'iifname "hd*" drop'],
    },
    {
      name: "service-2",
      rules: ["dnat ip to ip daddr . meta l4proto . th dport . numgen random mod 2 map @endpoints"],
    },
    { name: "known", rules: ["ip saddr @pods accept", "jump last"] },
    { name: "last", rules: ['log prefix "heddle drop " group 1', "drop"] },
  ],
};

const tableOf = (netns: string) => output(netns, "nft", "list", "table", "inet", "heddle");

describe("a ruleset", { skip: needsRoot }, () => {
  test("in a pod's namespace replaces the one before", () => {
    using scratch = new Scratch();
    const [node, pod] = [scratch.netns(), scratch.netns()];
    const driver = inNetns(node, openKernelDriver);
    scratch.defer(() => driver.close());
    driver.applyRulesetIn(pod, ruleset);
    const text = tableOf(pod);
    assert.match(text, /"hd05" : jump known/);
    driver.applyRulesetIn(pod, ruleset);
    assert.equal(tableOf(pod), text);
    driver.applyRulesetIn(pod, { ...ruleset, maps: [], sets: [], chains: [] });
    assert.doesNotMatch(tableOf(pod), /chain|map|set/);
    assert.equal(output(node, "nft", "list", "ruleset"), "");
  });

  test("that nft refuses leaves the one before, and says where it is wrong", () => {
    using scratch = new Scratch();
    const netns = scratch.netns();
    const driver = inNetns(netns, openKernelDriver);
    scratch.defer(() => driver.close());
    driver.apply([{ kind: "nft", text: renderRuleset(ruleset) }]);
    const before = tableOf(netns);
    const broken = { ...ruleset, chains: [{ name: "known", rules: ["ip saddr @nobody accept"] }] };
    for (const attempt of [
      () => driver.apply([{ kind: "nft", text: renderRuleset(broken) }]),
      () => driver.applyRulesetIn(netns, broken),
    ]) {
      assert.throws(attempt, (error: unknown) => {
        assert.ok(error instanceof Error && "code" in error);
        assert.equal(error.code, "kernel.nft.refused");
        assert.match(renderError(error), /line \d+:12-18: Error: .*\n\t\tip saddr @nobody accept/);
        return true;
      });
    }
    assert.equal(tableOf(netns), before);
  });

  test("of ten thousand services is one transaction", () => {
    using scratch = new Scratch();
    const netns = scratch.netns();
    const driver = inNetns(netns, openKernelDriver);
    scratch.defer(() => driver.close());
    const elements = new Map(
      Array.from({ length: 10_000 }, (_, i) => [
        `10.96.${i >> 8}.${i & 255} . tcp . 80`,
        "goto service-2",
      ]),
    );
    const [services, ...others] = ruleset.maps;
    if (services === undefined) throw new RangeError("the ruleset has maps");
    const large = { ...ruleset, maps: [{ ...services, elements }, ...others] };
    driver.apply([{ kind: "nft", text: renderRuleset(large) }]);
    assert.match(
      output(netns, "nft", "list", "map", "inet", "heddle", "services"),
      /10\.96\.39\.15 /,
    );
  });
});

describe("an nftables context", { skip: needsRoot }, () => {
  test("is not inherited by the processes that are started later", () => {
    using scratch = new Scratch();
    const context = inNetns(scratch.netns(), () => new NftContext());
    scratch.defer(() => context.close());
    context.run("add table inet heddle");
    const inherited = output(scratch.netns(), "sh", "-c", "ls -l /proc/self/fd");
    assert.doesNotMatch(inherited, / ([3-9]|\d\d+) -> socket:/);
    assert.ok(readdirSync("/proc/self/fd").some((fd) => isSocket(fd)));
  });

  test("commits a transaction although signals arrive in it", async () => {
    using scratch = new Scratch();
    const context = inNetns(scratch.netns(), () => new NftContext());
    scratch.defer(() => context.close());
    using _signals = signalMyself();
    await once(process, "SIGWINCH");
    // The kernel looks for signals between one message and the next.
    const rules = "add rule inet t c accept\n".repeat(500);
    for (let i = 0; i < 60; i++) {
      context.run(`add table inet t\nadd chain inet t c\nflush chain inet t c\n${rules}`);
    }
  });

  test("checks a transaction without committing it", () => {
    using scratch = new Scratch();
    const netns = scratch.netns();
    const context = inNetns(netns, () => new NftContext());
    scratch.defer(() => context.close());
    context.check(renderRuleset(ruleset));
    assert.throws(() => context.check("add rule inet heddle nowhere accept"), {
      code: "kernel.nft.refused",
    });
    assert.equal(output(netns, "nft", "list", "ruleset"), "");
  });
});

/** Sends this process a signal that it ignores, without a pause, until disposed. */
function signalMyself(): Disposable {
  const ignore = () => undefined;
  process.on("SIGWINCH", ignore);
  const loop = `while kill -WINCH ${process.pid}; do :; done`;
  const child = spawn("bash", ["-c", loop], { stdio: "ignore", timeout: 10_000 });
  child.unref(); // so many signals may hide the one that says that it ended
  return {
    [Symbol.dispose]() {
      child.kill("SIGKILL");
      process.off("SIGWINCH", ignore);
    },
  };
}

function isSocket(fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
  } catch {
    return false;
  }
}
