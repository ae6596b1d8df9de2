import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { typeUrls } from "../../wire/xds/resources.ts";
import { type ServerMetrics, serverMetrics } from "../metrics.ts";
import { Pushes } from "./pushes.ts";

interface Bench {
  readonly pushes: Pushes;
  readonly metrics: ServerMetrics;
  at(ms: number): void;
  send(version: number, typeUrl?: string): void;
}

function bench(): Bench {
  let now = 0;
  const metrics = serverMetrics();
  const pushes = new Pushes(metrics, () => now);
  const send = (version: number, typeUrl: string = typeUrls.route) => {
    const response = {
      typeUrl,
      systemVersion: `${version}`,
      resources: [],
      removed: [],
      nonce: "",
    };
    pushes.sent(response, 2_000_000);
  };
  const at = (ms: number) => {
    now = ms;
  };
  return { pushes, metrics, send, at };
}

/** Times until sidecars had answered: how many, and their sum in seconds. */
function converged({ convergenceSeconds: { counts, sum } }: ServerMetrics): readonly number[] {
  return [counts.reduce((all, count) => all + count, 0), sum];
}

describe("pushes", () => {
  test("are counted by type with their sizes, and refusals too", () => {
    const { pushes, metrics, send } = bench();
    send(1);
    send(1, typeUrls.cluster);
    send(1, typeUrls.snapshot);
    pushes.refused(typeUrls.cluster);
    pushes.refused(typeUrls.snapshot);
    const counted = metrics.pushes.series().map(({ values, metric }) => [...values, metric.value]);
    assert.deepEqual(counted, [
      ["cds", 1],
      ["rds", 1],
    ]);
    assert.equal(metrics.pushedBytes.with({ type: "rds" }).counts[3], 1);
    for (const type of ["cds", "snapshot"]) assert.equal(metrics.rejects.with({ type }).value, 1);
  });

  test("take from the change until the answer", () => {
    const { pushes, metrics, send, at } = bench();
    at(1_000);
    pushes.offered(7);
    send(7);
    at(3_500);
    pushes.settled(7);
    assert.deepEqual(converged(metrics), [1, 2.5]);
  });

  test("are none where a world changes nothing, nor at the first configuration", () => {
    const { pushes, metrics, send, at } = bench();
    send(3);
    at(5_000);
    pushes.settled(3);
    pushes.offered(4);
    pushes.settled(4);
    assert.deepEqual(converged(metrics), [0, 0]);
  });

  test("that come while one is under way are one, as late as the first of them", () => {
    const { pushes, metrics, send, at } = bench();
    pushes.offered(1);
    send(1);
    at(1_000);
    pushes.offered(2);
    at(2_000);
    pushes.offered(3);
    at(4_000);
    pushes.settled(1);
    send(3);
    at(5_000);
    pushes.settled(3);
    assert.deepEqual(converged(metrics), [2, 4 + 4]);
  });

  test("are not lost where the world before was never sent by itself", () => {
    const { pushes, metrics, send, at } = bench();
    pushes.offered(1); // while the first configuration is under way
    at(1_000);
    pushes.offered(2);
    send(2);
    at(2_000);
    pushes.offered(3);
    at(3_000);
    pushes.settled(2);
    assert.deepEqual(converged(metrics), [1, 3]);
    send(3);
    at(6_000);
    pushes.settled(3);
    assert.deepEqual(converged(metrics), [2, 3 + 4]);
  });
});
