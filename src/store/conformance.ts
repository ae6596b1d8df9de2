/** What every Store promises, as tests: each implementation runs them all. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Resource } from "../api/resource.ts";
import type { Store, StoreEvent } from "./store.ts";

export interface StoreUnderTest {
  readonly name: string;
  /** An empty store that remembers `historyBound` changes. */
  open(historyBound: number): Store;
}

export function storeConformance({ name, open }: StoreUnderTest): void {
  describe(`a ${name} store`, () => {
    test("gives a created object uid, version and creation time, and finds it again", async () => {
      const store = open(100);
      const created = await store.create(configMap("a", { v: "1" }));
      assert.match(created.metadata.uid ?? "", /./);
      assert.equal(created.metadata.resourceVersion, "1");
      assert.match(created.metadata.creationTimestamp ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      assert.deepEqual(await store.get(key("a")), created);
      await store.close();
    });

    test("refuses a second object of the same name", async () => {
      const store = open(100);
      await store.create(configMap("a"));
      await assert.rejects(store.create(configMap("a")), { code: "store.exists" });
      await store.close();
    });

    test("lets one of two writers from the same version win", async () => {
      const store = open(100);
      const read = await store.create(configMap("a", { v: "1" }));
      const results = await Promise.allSettled([
        store.update({ ...read, data: { v: "left" } } as Resource),
        store.update({ ...read, data: { v: "right" } } as Resource),
      ]);
      assert.deepEqual(
        results.map((result) => result.status),
        ["fulfilled", "rejected"],
      );
      const lost = results[1];
      assert.equal(lost?.status === "rejected" && lost.reason.code, "store.conflict");
      await store.close();
    });

    test("keeps uid and creation time through updates, also from writers that do not know them", async () => {
      const store = open(100);
      const created = await store.create(configMap("a", { v: "1" }));
      const updated = await store.update(configMap("a", { v: "2" }));
      assert.equal(updated.metadata.uid, created.metadata.uid);
      assert.equal(updated.metadata.creationTimestamp, created.metadata.creationTimestamp);
      await store.close();
    });

    test("takes no new version for a write that changes nothing", async () => {
      const store = open(100);
      const created = await store.create(configMap("a", { v: "1" }));
      assert.deepEqual(await store.update(configMap("a", { v: "1" })), created);
      assert.equal((await store.list()).version, 1);
      await store.close();
    });

    test("refuses to update or delete what is not there, or what another has replaced", async () => {
      const store = open(100);
      await assert.rejects(store.update(configMap("a")), { code: "store.absent" });
      await assert.rejects(store.delete(key("a")), { code: "store.absent" });
      const first = await store.create(configMap("a"));
      await store.delete(key("a"), first.metadata.uid);
      await store.create(configMap("a"));
      await assert.rejects(store.delete(key("a"), first.metadata.uid), { code: "store.conflict" });
      const late = { ...first, metadata: { ...first.metadata, resourceVersion: undefined } };
      await assert.rejects(store.update(late as unknown as Resource), { code: "store.conflict" });
      await store.close();
    });

    test("lists by kind and namespace, sorted by name, with the version the list is from", async () => {
      const store = open(100);
      await store.create(configMap("b"));
      await store.create(configMap("a"));
      await store.create(configMap("c", {}, "other"));
      await store.create({ apiVersion: "v1", kind: "Node", metadata: { name: "n" } });
      const names = async (kind?: string, namespace?: string) =>
        (await store.list(kind, namespace)).objects.map((object) => object.metadata.name);
      assert.deepEqual(await names("ConfigMap"), ["c", "a", "b"]);
      assert.deepEqual(await names("ConfigMap", "shop"), ["a", "b"]);
      assert.deepEqual(await names(), ["c", "a", "b", "n"]);
      assert.deepEqual(await names("Pod"), []);
      assert.equal((await store.list()).version, 4);
      await store.close();
    });

    test("does not let a caller change what is stored through the object it passed", async () => {
      const store = open(100);
      const data: Record<string, string> = { v: "1" };
      await store.create(configMap("a", data));
      data["v"] = "changed behind its back";
      assert.deepEqual(dataOf(await store.get(key("a"))), { v: "1" });
      await store.close();
    });

    test("tells a watcher every change after its version, once and in order", async () => {
      const store = open(100);
      await store.create(configMap("a", { v: "1" }));
      const { version } = await store.list();
      const seen = collect(store, version, 4);
      await store.update(configMap("a", { v: "2" }));
      await Promise.all([store.create(configMap("b")), store.create(configMap("c"))]);
      await store.delete(key("a"));
      assert.deepEqual((await seen).map(brief), [
        "2 modified a",
        "3 added b",
        "4 added c",
        "5 deleted a",
      ]);
      await store.close();
    });

    test("gives a deletion the last state and a version of its own", async () => {
      const store = open(100);
      await store.create(configMap("a", { v: "1" }));
      const seen = collect(store, 1, 1);
      const deleted = await store.delete(key("a"));
      const [event] = await seen;
      assert.deepEqual(event?.object, deleted);
      assert.equal(deleted.metadata.resourceVersion, "2");
      assert.deepEqual(dataOf(deleted), { v: "1" });
      await store.close();
    });

    test("tells every watcher the same, however late it starts", async () => {
      const store = open(100);
      for (const name of ["a", "b", "c"]) await store.create(configMap(name));
      const early = collect(store, 0, 5);
      const late = collect(store, 2, 3);
      await store.create(configMap("d"));
      await store.create(configMap("e"));
      assert.deepEqual((await early).map(brief).slice(2), (await late).map(brief));
      await store.close();
    });

    test("says expired to a watcher that is further behind than its history", async () => {
      const store = open(3);
      for (const name of ["a", "b", "c", "d", "e"]) await store.create(configMap(name));
      await assert.rejects(collect(store, 1, 1), { code: "store.expired" });
      assert.deepEqual((await collect(store, 2, 3)).map(brief), [
        "3 added c",
        "4 added d",
        "5 added e",
      ]);
      await store.close();
    });

    test("says expired to a watcher from a version that it never had", async () => {
      const store = open(3);
      await store.create(configMap("a"));
      await assert.rejects(collect(store, 7, 1), { code: "store.expired" });
      await store.close();
    });

    test("says expired to a watcher that falls behind while it dawdles", async () => {
      const store = open(3);
      const signal = new AbortController().signal;
      const watch = store.watch(0, signal)[Symbol.asyncIterator]();
      await store.create(configMap("a0"));
      await watch.next();
      for (const name of ["a1", "a2", "a3", "a4", "a5"]) await store.create(configMap(name));
      await assert.rejects(watch.next(), { code: "store.expired" });
      await store.close();
    });

    test("ends a watch when its signal does", async () => {
      const store = open(100);
      const stop = new AbortController();
      const ended = (async () => {
        for await (const _ of store.watch(0, stop.signal));
      })();
      stop.abort();
      await ended;
      await store.close();
    });
  });
}

export function configMap(
  name: string,
  data: Readonly<Record<string, string>> = {},
  namespace = "shop",
): Resource {
  const object = { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace }, data };
  return object;
}

function key(name: string) {
  return { kind: "ConfigMap", namespace: "shop", name };
}

function dataOf(object: Resource | undefined): unknown {
  return (object as { data?: unknown } | undefined)?.data;
}

/** The first `count` changes after `version`. */
export async function collect(
  store: Store,
  version: number,
  count: number,
): Promise<readonly StoreEvent[]> {
  const stop = new AbortController();
  const events: StoreEvent[] = [];
  for await (const event of store.watch(version, stop.signal)) {
    events.push(event);
    if (events.length === count) break;
  }
  return events;
}

function brief({ version, type, object }: StoreEvent): string {
  return `${version} ${type} ${object.metadata.name}`;
}
