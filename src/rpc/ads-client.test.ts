/** Against servers that are played word by word; with real ones: test/interop, server/xds. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Clock } from "../base/clock.ts";
import { MeshError } from "../base/error.ts";
import { createLog } from "../base/log.ts";
import {
  type DeltaRequest,
  decodeRequest,
  encodeResponse,
  encodeSnapshotMark,
} from "../wire/xds/discovery.ts";
import { DeltaDiscoveryResponse } from "../wire/xds/gen/messages.ts";
import { encodeMessage } from "../wire/xds/protobuf.ts";
import type { EncodedResource, XdsResources } from "../wire/xds/resources.ts";
import { shortType, typeUrls } from "../wire/xds/resources.ts";
import { type AdsClientOptions, createAdsClient } from "./ads-client.ts";
import type { DeltaHandlers } from "./delta-stream.ts";

const { cluster, endpoints } = typeUrls;

interface Scene {
  readonly asked: readonly DeltaRequest[];
  /** Ends all sleeps that have begun. */
  readonly wake: () => Promise<void>;
  readonly own: (typeUrl: string, ...names: readonly string[]) => void;
  readonly foreign: (typeUrl: string, ...names: readonly string[]) => void;
  /** Names of the newest picture's clusters and endpoints; undefined: there is none that was not seen. */
  readonly picture: () => Promise<readonly string[] | undefined>;
}

/** Each cluster's endpoints have its name; a cluster called `bad…` is refused. */
async function scene(use: (scene: Scene) => Promise<void>): Promise<void> {
  let sleeping: (() => void)[] = [];
  const clock: Clock = {
    now: () => 0,
    sleep: (_, signal) =>
      new Promise((resolve, reject) => {
        sleeping.push(resolve);
        signal?.addEventListener("abort", () => reject(signal.reason));
      }),
  };
  const asked: DeltaRequest[] = [];
  let handlers: DeltaHandlers | undefined;
  const options: AdsClientOptions<XdsResources> = {
    open: (opened) => {
      handlers = opened;
      return {
        send: (bytes) => asked.push(decodeRequest(bytes)),
        close: () => opened.end(new MeshError("rpc.closed", "end")),
      };
    },
    node: { id: "test" },
    subscriptions: [cluster, endpoints].map((typeUrl) => ({ typeUrl, names: ["*"] })),
    marks: true,
    others: {
      roots: [cluster],
      check: ({ name }) => {
        if (name.startsWith("bad")) throw new Error(`${name} is bad`);
      },
      references: (value) => new Map([[endpoints, new Set(value.get(cluster)?.keys())]]),
    },
    decode: (resources) => new Map([...resources].map(([type, named]) => [type, new Map(named)])),
    clock,
    random: Math.random,
    log: createLog(
      () => {},
      () => 0,
      { least: "error" },
    ),
  };
  const source = createAdsClient(options);
  const stop = new AbortController();
  const pictures = source.snapshots(stop.signal)[Symbol.asyncIterator]();
  let next = pictures.next();
  const settled = () => new Promise<undefined>((resolve) => setImmediate(resolve, undefined));
  let version = 0;
  const resources = (typeUrl: string, names: readonly string[]): EncodedResource[] =>
    names.map((name) => ({ typeUrl, name, version: `${++version}`, bytes: new Uint8Array() }));
  const frame = { nonce: "n", systemVersion: "1", removed: [] };
  await use({
    asked,
    wake: async () => {
      const woken = sleeping;
      sleeping = [];
      for (const resolve of woken) resolve();
      await settled();
    },
    own: (typeUrl, ...names) => {
      const isMark = typeUrl === typeUrls.snapshot;
      const content = isMark ? [encodeSnapshotMark("1")] : resources(typeUrl, names);
      handlers?.message(encodeResponse({ ...frame, typeUrl, resources: content }));
    },
    foreign: (typeUrl, ...names) =>
      handlers?.message(
        encodeMessage(DeltaDiscoveryResponse, {
          typeUrl,
          nonce: "n",
          resources: resources(typeUrl, names).map(({ bytes: value, ...rest }) => ({
            ...rest,
            resource: { typeUrl, value },
          })),
        }),
      ),
    picture: async () => {
      const snapshot = await Promise.race([next.then(({ value }) => value), settled()]);
      if (snapshot === undefined) return undefined;
      next = pictures.next();
      source.accept(snapshot.version);
      return [cluster, endpoints].flatMap((type) => [...(snapshot.value.get(type)?.keys() ?? [])]);
    },
  });
  stop.abort();
  handlers?.end(new MeshError("rpc.closed", "end"));
  await pictures.return?.();
}

/** `TYPE name`, in the order in which they were asked for. */
function namesOf(asked: readonly DeltaRequest[]): readonly string[] {
  return asked.flatMap(({ typeUrl, subscribe }) =>
    subscribe.map((name) => `${shortType(typeUrl)} ${name}`),
  );
}

describe("a client of a server that marks no rounds", () => {
  test("is not asked for endpoints that nothing refers to, and which it would send", async () => {
    await scene(async ({ foreign, asked }) => {
      assert.deepEqual(namesOf(asked), ["Cluster *"]);
      foreign(cluster, "one");
      assert.deepEqual(namesOf(asked), ["Cluster *", "ClusterLoadAssignment one"]);
    });
  });

  test("is asked anew, and by name, where it comes in the place of one that marks", async () => {
    await scene(async ({ foreign, own, asked, wake, picture }) => {
      own(cluster, "one");
      own(endpoints, "one");
      own(typeUrls.snapshot);
      assert.deepEqual(await picture(), ["one", "one"]);
      assert.deepEqual(namesOf(asked), ["Cluster *", "ClusterLoadAssignment *", "Snapshot *"]);
      foreign(endpoints, "one", "stray");
      assert.equal(await picture(), undefined);
      const before = asked.length;
      await wake();
      assert.deepEqual(namesOf(asked.slice(before)), ["Cluster *"]);
      foreign(cluster, "one");
      assert.deepEqual(namesOf(asked.slice(before)), ["Cluster *", "ClusterLoadAssignment one"]);
    });
  });

  test("gives up what never comes, and takes what is there for whole", async () => {
    await scene(async ({ foreign, wake, picture }) => {
      foreign(cluster, "one");
      assert.equal(await picture(), undefined);
      await wake();
      assert.deepEqual(await picture(), ["one"]);
    });
  });

  test("tells the first of very much that is wrong, in a message that servers take", async () => {
    await scene(async ({ foreign, asked }) => {
      foreign(cluster, ...Array.from({ length: 5_000 }, (_, index) => `bad-${index}`));
      const refusal = asked.find(({ error }) => error !== undefined)?.error ?? "";
      assert.match(refusal, /^bad-0 is bad; bad-1 is bad/);
      assert.ok(refusal.length < 20_000, `${refusal.length}`);
    });
  });

  test("does not take a half round of a server that marks, which came in its place, for a whole picture", async () => {
    await scene(async ({ foreign, own, wake, picture }) => {
      foreign(cluster, "one");
      own(cluster, "two");
      await wake();
      assert.equal(await picture(), undefined);
      own(endpoints, "two");
      own(typeUrls.snapshot);
      assert.deepEqual(await picture(), ["one", "two", "two"]);
    });
  });
});
