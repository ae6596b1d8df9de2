import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../base/random.ts";
import { worldOf } from "../../core/registry/world.ts";
import type { CheckProgress, NodeEvidence } from "../../model/network-check.ts";
import { NetworkChecks } from "./checks.ts";

const evidence: NodeEvidence = {
  ...{ probes: [], heard: [], drops: [], ruleset: [], settings: [], reversePaths: [] },
  counters: {
    ...{ udpChecksumErrors: 0, tcpChecksumErrors: 0, icmpChecksumErrors: 0 },
    ...{ invalidPackets: 0, reversePathDrops: 0 },
  },
  unread: ["table inet x: too long to be judged"],
  agentSocket: "/run/heddle/agent.sock",
};

/** Nodes `a` and `b`, of which those named are heard of. */
function checks(...heard: readonly string[]): NetworkChecks {
  const world = worldOf(
    ["a", "b"].map((name) => ({ apiVersion: "v1", kind: "Node", metadata: { name } })),
  );
  return new NetworkChecks({
    world: { current: () => world, changes: async function* () {} },
    now: () => 1_000_000,
    random: seededRandom(5),
    reportedAt: (node) => (heard.includes(node) ? 999_000 : undefined),
  });
}

/** What there is to do for a node that says how far it is; undefined where nothing is ordered. */
function ordered(of: NetworkChecks): string | undefined {
  return of.orders()[0]?.phase;
}

describe("a check of the network", () => {
  test("is over at once where no agent is heard of, and says so", async () => {
    const { findings, nodes } = await checks().run();
    assert.deepEqual(nodes, []);
    assert.deepEqual(
      findings.map(({ kind, nodes: [node] }) => `${kind} ${node}`),
      ["node-silent a", "node-silent b"],
    );
  });

  test("leads its nodes from phase to phase, when all are through each", async () => {
    const running = checks("a", "b");
    const result = running.run();
    const [order] = running.orders();
    assert.ok(order !== undefined);
    const say = async (node: string, progress: object): Promise<void> => {
      running.take(node, [{ check: order.id, ...progress } as CheckProgress]);
      await new Promise((resolve) => setImmediate(resolve));
    };
    assert.equal(ordered(running), "prepare");
    await say("a", { phase: "prepared", port: 5_001 });
    assert.equal(ordered(running), "prepare");
    await say("b", { phase: "prepared", port: 5_002 });
    assert.equal(ordered(running), "probe");
    assert.deepEqual(running.orders()[0]?.peers, [
      { node: "a", port: 5_001 },
      { node: "b", port: 5_002 },
    ]);
    await say("a", { phase: "probed" });
    running.take("b", [{ check: "ffffffff", phase: "probed" }]); // of an earlier check
    assert.equal(ordered(running), "probe");
    await say("b", { phase: "probed" });
    assert.equal(ordered(running), "conclude");
    await say("a", { phase: "concluded", evidence });
    await say("b", { phase: "concluded", evidence: { ...evidence, unread: [] } });
    const { nodes, findings, unjudged } = await result;
    assert.deepEqual(
      { nodes, findings, unjudged },
      {
        nodes: ["a", "b"],
        findings: [],
        unjudged: ["a: table inet x: too long to be judged"],
      },
    );
    assert.equal(ordered(running), undefined);
  });

  test("is one for all who ask meanwhile", async () => {
    const running = checks();
    const [one, another] = await Promise.all([running.run(), running.run()]);
    assert.equal(one, another);
  });
});
