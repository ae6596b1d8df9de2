/** Watches of the API. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Resource } from "../api/resource.ts";
import { configMap } from "./testdata/objects.ts";
import { runningServer } from "./testdata/running-server.ts";

const { admin, client } = await runningServer();

/** So many events of a watch of ConfigMaps, or fewer where it ends before. */
async function lines(query: string, count: number) {
  const found: { type: string; object: { code?: number; metadata: Resource["metadata"] } }[] = [];
  const request = { method: "GET", path: `/api/v1/configmaps?watch=1&${query}` };
  for await (const line of admin.lines(request, 5_000, () => assert.fail())) {
    found.push(JSON.parse(line));
    if (found.length === count) break;
  }
  return found;
}

describe("a watch", () => {
  test("gives the whole picture first and then every change", async () => {
    await client.create(configMap("seen-1", {}, "kube-public"));
    const ending = new AbortController();
    const events: string[] = [];
    for await (const event of client.watch<Resource>("ConfigMap", ending.signal)) {
      if (event.type === "synced") {
        const names = event.objects.map(({ metadata }) => metadata.name);
        assert.ok(names.includes("seen-1"));
        await client.create(configMap("seen-2", {}, "kube-public"));
        await client.update(configMap("seen-2", { v: "2" }, "kube-public"));
        await client.delete("ConfigMap", "kube-public", "seen-2");
        continue;
      }
      events.push(`${event.type} ${event.object.metadata.name}`);
      if (events.length === 3) ending.abort();
    }
    assert.deepEqual(events, ["added seen-2", "modified seen-2", "deleted seen-2"]);
  });

  test("from a version that history has lost says 410, and one with a selector sees objects leave", async () => {
    const [error] = await lines("resourceVersion=999999999", 1);
    assert.deepEqual([error?.type, error?.object.code], ["ERROR", 410]);

    const { version } = await client.list("ConfigMap");
    const object = configMap("leaves");
    const labels = { watched: "yes" };
    const made = await client.create({ ...object, metadata: { ...object.metadata, labels } });
    await client.update({ ...made, metadata: { ...made.metadata, labels: {} } });
    const seen = await lines(`resourceVersion=${version}&labelSelector=watched%3Dyes`, 2);
    assert.deepEqual(
      seen.map(({ type }) => type),
      ["ADDED", "DELETED"],
    );
  });

  test("that is to last a month does not end at once", async () => {
    const { version } = await client.list("ConfigMap");
    const seen = lines(`resourceVersion=${version}&timeoutSeconds=2592000`, 1);
    for (let i = 0; i < 20; i++) await client.list("ConfigMap"); // it is open by then
    await client.create(configMap("late"));
    assert.deepEqual(
      (await seen).map(({ type, object }) => `${type} ${object.metadata.name}`),
      ["ADDED late"],
    );
  });
});
