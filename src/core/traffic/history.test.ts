import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { GoldenSignals } from "../../model/observation.ts";
import { TrafficHistory } from "./history.ts";
import { edgeSignals } from "./signals.ts";
import { drop, edge, report, served } from "./testdata.ts";

const start = 1_700_000_000_000;

function signals(history: TrafficHistory, seconds: number, at: number): GoldenSignals {
  return edgeSignals(history.window(seconds, at).edges);
}

/** `seconds` of reports from a node with `rate` requests a second; answers the end. */
function seconds(history: TrafficHistory, node: string, from: number, count: number, rate: number) {
  for (let i = 1; i <= count; i++) {
    const at = from + i * 1_000;
    history.add(report(node, at, { edges: [edge("shop/web", "shop/cart", rate)] }), at + 50);
  }
  return from + count * 1_000 + 60;
}

describe("the history", () => {
  test("gives the rate that was reported, from the first second on", () => {
    const history = new TrafficHistory();
    let at = seconds(history, "node-1", start, 1, 20);
    assert.equal(signals(history, 10, at).requestsPerSecond, 20);
    at = seconds(history, "node-1", start + 1_000, 30, 20);
    const { requestsPerSecond, p50Ms = 0, successShare } = signals(history, 10, at);
    assert.equal(requestsPerSecond, 20);
    assert.equal(successShare, 1);
    assert.ok(Math.abs(p50Ms - 10) < 1);
  });

  test("takes a gap for a gap: the rate is that of the time that was reported", () => {
    const history = new TrafficHistory();
    seconds(history, "node-1", start, 3, 20);
    const at = seconds(history, "node-1", start + 7_000, 3, 20); // four seconds without an agent
    assert.equal(signals(history, 10, at).requestsPerSecond, 20);
    const slots = history.slots(10, at);
    assert.equal(slots.length, 6);
    for (const slot of slots) assert.equal(edgeSignals(slot.edges).requestsPerSecond, 20);
  });

  test("adds the rates of nodes, of which one came later", () => {
    const history = new TrafficHistory();
    seconds(history, "node-1", start, 10, 20);
    const at = seconds(history, "node-2", start + 7_000, 3, 5);
    assert.equal(signals(history, 10, at).requestsPerSecond, 25);
  });

  test("is not moved by a report that comes late and beside the next", () => {
    const history = new TrafficHistory();
    for (let i = 1; i <= 9; i++) {
      const at = start + i * 1_000;
      const late = i === 5 ? 999 : 0;
      history.add(report("node-1", at, { edges: [edge("shop/web", "shop/cart", 7)] }), at + late);
    }
    assert.equal(signals(history, 10, start + 9_100).requestsPerSecond, 7);
  });

  test("counts every request once in seconds and once in tens of seconds", () => {
    const history = new TrafficHistory();
    const at = seconds(history, "node-1", start, 90, 11);
    const count = (span: number) =>
      history
        .slots(span, at)
        .flatMap(({ edges }) => edges)
        .reduce((total, { counts }) => total + (counts.codes["200"] ?? 0), 0);
    assert.equal(count(120), 990);
    assert.equal(count(3_600), 990);
  });

  test("forgets what is older than its slots, and then holds nothing for it", () => {
    const history = new TrafficHistory();
    seconds(history, "node-1", start, 5, 10);
    const later = start + 3_700_000;
    history.add(report("node-1", later), later);
    assert.equal(history.entries, 0);
    assert.deepEqual(history.window(3_600, later).edges, []);
  });

  test("adds what is more than it holds to one series, and loses no count", () => {
    const history = new TrafficHistory({ seriesPerSlot: 3, entries: 1_000, nodes: 1 });
    const edges = Array.from({ length: 10 }, (_, i) => edge(`shop/c${i}`, "shop/cart", 1));
    const serving = Array.from({ length: 10 }, (_, i) => served(`shop/p${i}`, "shop/cart", 1));
    const drops = Array.from({ length: 10 }, (_, i) => drop(`shop/c${i}`, "shop/cart-0", 1));
    history.add(report("node-1", start, { edges, serving, drops }), start);
    const window = history.window(10, start);
    assert.deepEqual(
      window.edges.map(({ counts }) => [counts.source, counts.codes["200"]]),
      [
        ["shop/c0", 1],
        ["shop/c1", 1],
        ["shop/c2", 1],
        ["overflow", 7],
      ],
    );
    assert.equal(window.serving.length, 4);
    assert.equal(window.drops.at(-1)?.counts.packets, 7);
    assert.equal(history.add(report("node-2", start), start), false);
  });

  test("holds no more entries than its limit, whatever is reported for an hour", () => {
    const limits = { seriesPerSlot: 500, entries: 2_000, nodes: 10 };
    const history = new TrafficHistory(limits);
    for (let i = 0; i < 600; i++) {
      const at = start + i * 1_000;
      const edges = Array.from({ length: 50 }, (_, k) => edge(`shop/c${i}-${k}`, "shop/cart", 1));
      history.add(report("node-1", at, { edges }), at);
    }
    // A slot that is full has one more, for the rest.
    assert.ok(history.entries <= limits.entries + 120 + 360, `${history.entries}`);
  });
});
