import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createLog } from "../base/log.ts";
import { createFakeKernel } from "../kernel/fake/fake-driver.ts";
import type { Attachment } from "../model/node-view.ts";
import { GonePods } from "./gone-pods.ts";
import { type PodChange, PodChanges } from "./pod-changes.ts";

const attach = (name: string): PodChange => ({
  kind: "attach",
  attachment: {
    ...{ containerId: name, ifName: "eth0", netns: `/run/netns/${name}`, namespace: "shop", name },
    ...{ uid: name, addresses: ["10.0.0.1"], hostLink: `hd${name}`, mac: "02:00:00:00:00:01" },
  } satisfies Attachment,
});

describe("pods that come at once", () => {
  test("are one change, at most so many, and who comes while it is made is the next", async () => {
    const sizes: number[] = [];
    const late: Promise<void>[] = [];
    const changes = new PodChanges((batch) => {
      sizes.push(batch.length);
      if (sizes.length === 1) late.push(changes.make(attach("late")));
    });
    const made = Array.from({ length: 40 }, (_, i) => changes.make(attach(`web-${i}`)));
    await Promise.all(made);
    await Promise.all(late);
    assert.deepEqual(sizes, [32, 9]);
  });

  test("do not fail for another's fault", async () => {
    const changes = new PodChanges((batch) => {
      if (batch.some(({ attachment }) => attachment.name === "bad")) throw new Error("refused");
    });
    const outcomes = await Promise.allSettled(
      ["good", "bad", "better"].map((name) => changes.make(attach(name))),
    );
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled"],
    );
  });
});

test("connections of pods that go while the last walk's rest lasts are forgotten in one walk", async () => {
  const kernel = createFakeKernel();
  const walks: ReadonlySet<string>[] = [];
  let now = 0;
  const rests: PromiseWithResolvers<void>[] = [];
  const clock = {
    now: () => now,
    sleep: () => {
      const rest = Promise.withResolvers<void>();
      rests.push(rest);
      return rest.promise;
    },
  };
  const driver = {
    ...kernel,
    forgetConnections(addresses: ReadonlySet<string>) {
      walks.push(addresses);
      now += 20;
    },
  };
  const gone = new GonePods(
    driver,
    clock,
    createLog(() => undefined, clock.now),
  );
  await gone.forget(["10.0.0.1"]);
  const waiting = [gone.forget(["10.0.0.2"]), gone.forget(["10.0.0.3", "10.0.0.4"])];
  rests[0]?.resolve();
  await Promise.all(waiting);
  assert.deepEqual(
    walks.map((each) => [...each]),
    [["10.0.0.1"], ["10.0.0.2", "10.0.0.3", "10.0.0.4"]],
  );
});
