import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Resource } from "../api/resource.ts";
import { collect, configMap, storeConformance } from "./conformance.ts";
import { openLedger } from "./ledger.ts";
import { memoryStore } from "./memory.ts";
import { sqliteStore } from "./sqlite.ts";

const folder = mkdtempSync(join(tmpdir(), "heddle-store-"));
after(() => rmSync(folder, { recursive: true }));
let files = 0;
const newFile = () => join(folder, `${++files}.db`);

storeConformance({ name: "memory", open: (historyBound) => memoryStore({ historyBound }) });
storeConformance({
  name: "SQLite",
  open: (historyBound) => sqliteStore(newFile(), { historyBound }),
});

describe("a SQLite store that is opened again", () => {
  test("has the same objects, goes on with the versions, and serves watches from before", async () => {
    const file = newFile();
    const first = sqliteStore(file, { historyBound: 3 });
    for (const name of ["a", "b", "c", "d"]) await first.create(configMap(name));
    await first.update(configMap("a", { v: "2" }));
    const before = await first.list();
    await first.close();

    const second = sqliteStore(file, { historyBound: 3 });
    assert.deepEqual(await second.list(), before);
    const events = await collect(second, 2, 3);
    assert.deepEqual(
      events.map((event) => [event.version, event.type, event.object.metadata.name]),
      [
        [3, "added", "c"],
        [4, "added", "d"],
        [5, "modified", "a"],
      ],
    );
    await assert.rejects(collect(second, 1, 1), { code: "store.expired" });
    const next = await second.create(configMap("e"));
    assert.equal(next.metadata.resourceVersion, "6");
    await second.close();
  });

  test("is refused to a second process while the first has it", async () => {
    const file = newFile();
    const store = sqliteStore(file);
    assert.throws(() => sqliteStore(file), {
      code: "store.open",
      message: /does another server use it/,
    });
    await store.close();
  });

  test("after kill -9 has everything that was acknowledged", async () => {
    const file = newFile();
    const writer = spawn(
      process.execPath,
      [fileURLToPath(new URL("./testdata/writer.ts", import.meta.url)), file],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const acknowledged: string[] = [];
    for await (const line of createInterface({ input: writer.stdout })) {
      acknowledged.push(line);
      if (acknowledged.length === 200) writer.kill("SIGKILL");
    }
    assert.ok(acknowledged.length >= 200);

    const store = sqliteStore(file);
    const { objects, version } = await store.list();
    const stored = new Map(objects.map((object) => [object.metadata.name, versionOf(object)]));
    for (const line of acknowledged) {
      const [name = "", at = ""] = line.split(" ");
      assert.ok(Number(stored.get(name) ?? -1) >= Number(at), `${line} was acknowledged`);
    }
    assert.equal(Math.max(...[...stored.values()].map(Number)), version);
    const replayed = await collect(store, 0, version);
    assert.deepEqual(
      replayed.map((event) => event.version),
      replayed.map((_, index) => index + 1),
    );
    await store.close();
  });
});

describe("a store whose disk refuses a commit", () => {
  test("refuses the write, shows nothing of it, and goes on with the same version", async () => {
    let full = false;
    const store = openLedger({
      journal: {
        load: () => ({ version: 0, objects: [], recent: [] }),
        commit() {
          if (full) throw new Error("disk is full");
        },
        close() {},
      },
      historyBound: 10,
      now: () => 0,
      newUid: () => "uid",
    });
    await store.create(configMap("a", { v: "1" }));
    full = true;
    const writes = await Promise.allSettled([
      store.create(configMap("b")),
      store.update(configMap("a", { v: "2" })),
    ]);
    assert.deepEqual(
      writes.map((write) => write.status === "rejected" && write.reason.code),
      ["store.unavailable", "store.unavailable"],
    );
    full = false;
    assert.deepEqual(
      (await store.list()).objects.map((object) => [object.metadata.name, versionOf(object)]),
      [["a", "1"]],
    );
    assert.equal(versionOf(await store.create(configMap("c"))), "2");
    await store.close();
  });
});

function versionOf(object: Resource): string {
  return object.metadata.resourceVersion ?? "";
}
