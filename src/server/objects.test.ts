/** The API over objects: made, read, replaced, chosen, deleted. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Pod } from "../api/k8s/core.ts";
import type { Resource } from "../api/resource.ts";
import type { ObjectEvent } from "../rpc/object-client.ts";
import { configMap, pod, service } from "./testdata/objects.ts";
import { runningServer } from "./testdata/running-server.ts";

const { admin, client } = await runningServer();

describe("the API", () => {
  test("starts with its namespaces and the address plan", async () => {
    const { objects } = await client.list<Resource>("Namespace");
    assert.deepEqual(
      objects.map(({ metadata }) => metadata.name),
      ["default", "kube-public", "kube-system"],
    );
    assert.equal(objects[0]?.metadata.labels?.["kubernetes.io/metadata.name"], "default");
    assert.ok(await client.get("Network", "", "default"));
  });

  test("creates, reads, replaces and deletes", async () => {
    const created = await client.create(configMap("crud", { v: "1" }));
    assert.equal(created.metadata.generation, 1);
    assert.match(created.metadata.uid ?? "", /^[0-9a-f-]{36}$/);
    assert.deepEqual(await client.get("ConfigMap", "default", "crud"), created);
    await assert.rejects(client.create(configMap("crud")), { code: "api.exists" });
    const updated = await client.update({ ...created, data: { v: "2" } });
    assert.equal(updated.metadata.generation, 2);
    await assert.rejects(client.update({ ...created, data: { v: "3" } }), { code: "api.conflict" });
    await client.delete("ConfigMap", "default", "crud");
    await client.delete("ConfigMap", "default", "crud");
    assert.equal(await client.get("ConfigMap", "default", "crud"), undefined);
  });

  test("answers refusals with a Status that programs can read", async () => {
    const { code, body } = await admin.send({ method: "GET", path: "/api/v1/nodes/none" });
    assert.equal(code, 404);
    assert.deepEqual(body, {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: "there is no Node none",
      reason: "NotFound",
      code: 404,
    });
  });

  test("does not take a request whose path nobody can read for a failure of its own", async () => {
    assert.equal((await admin.send({ method: "GET", path: "//" })).code, 404);
    const { code, body } = await admin.send({ method: "GET", path: "http://[/api" });
    assert.equal(code, 400);
    assert.equal(
      (body as { readonly message: string }).message,
      'read a request: want a path such as /api/v1/nodes, got "http://[/api"',
    );
  });

  test("refuses to create into a namespace that is not there", async () => {
    await assert.rejects(client.create(configMap("lost", {}, "nowhere")), {
      code: "api.absent",
      message: "there is no Namespace nowhere",
    });
  });

  test("keeps status and object apart", async () => {
    const created = await client.create({
      ...pod("parts", "node-1"),
      status: { podIP: "1.2.3.4" },
    });
    assert.deepEqual(created.status, { phase: "Pending" });
    const patched = await client.patchStatus<Pod>("Pod", "default", "parts", { podIP: "10.1.1.1" });
    assert.deepEqual(patched.status, { phase: "Pending", podIP: "10.1.1.1" });
    assert.equal(patched.metadata.generation, 1);
    const updated = await client.update({ ...patched, status: { phase: "Failed" } });
    assert.equal(updated.status?.phase, "Pending");
  });

  test("makes names from generateName", async () => {
    const { code, body } = await admin.send({
      method: "POST",
      path: "/api/v1/namespaces/default/configmaps",
      body: { metadata: { generateName: "made-" } },
    });
    assert.equal(code, 201);
    assert.match((body as Resource).metadata.name, /^made-[a-z0-9]{5}$/);
  });

  test("accepts older versions of a kind and answers in the version of the path", async () => {
    const path = "/apis/networking.istio.io/v1beta1/namespaces/default/destinationrules";
    const { code, body } = await admin.send({
      method: "POST",
      path,
      body: {
        apiVersion: "networking.istio.io/v1beta1",
        kind: "DestinationRule",
        metadata: { name: "old" },
        spec: { host: "old" },
      },
    });
    assert.equal(code, 201);
    assert.equal((body as Resource).apiVersion, "networking.istio.io/v1beta1");
    const stored = await client.get<Resource>("DestinationRule", "default", "old");
    assert.equal(stored?.apiVersion, "networking.istio.io/v1");
  });

  test("selects by labels and fields", async () => {
    for (const [name, tier] of [
      ["sel-a", "web"],
      ["sel-b", "db"],
    ] as const) {
      const object = configMap(name);
      await client.create({ ...object, metadata: { ...object.metadata, labels: { tier } } });
    }
    const names = async (query: string) => {
      const path = `/api/v1/namespaces/default/configmaps?${query}`;
      const { body } = await admin.send({ method: "GET", path });
      return (body as { items: Resource[] }).items.map(({ metadata }) => metadata.name);
    };
    assert.deepEqual(await names("labelSelector=tier%3Dweb"), ["sel-a"]);
    assert.deepEqual(await names("labelSelector=tier%20in%20(web,db),tier!%3Dweb"), ["sel-b"]);
    assert.deepEqual(await names("labelSelector=tier,!other"), ["sel-a", "sel-b"]);
    assert.deepEqual(await names("fieldSelector=metadata.name%3Dsel-b"), ["sel-b"]);
    const { code } = await admin.send({
      method: "GET",
      path: "/api/v1/pods?fieldSelector=spec.colour%3Dred",
    });
    assert.equal(code, 400);
  });

  test("bounds bodies", async () => {
    const { code } = await admin.send({
      method: "POST",
      path: "/api/v1/namespaces/default/configmaps",
      body: configMap("big", { v: "x".repeat(4 * 1024 * 1024) }),
    });
    assert.equal(code, 413);
  });

  test("says what it serves", async () => {
    const { body } = await admin.send({ method: "GET", path: "/apis/apps/v1" });
    const { resources } = body as { resources: { name: string; namespaced: boolean }[] };
    assert.deepEqual(
      resources.map(({ name }) => name),
      ["deployments", "deployments/status"],
    );
    for (const path of ["/api", "/apis", "/api/v1", "/version", "/healthz", "/apis/apps"]) {
      assert.equal((await admin.send({ method: "GET", path })).code, 200, path);
    }
    assert.equal((await admin.send({ method: "GET", path: "/openapi/v2" })).code, 404);
  });
});

describe("a Service", () => {
  test("gets an address of its own from the service range", async () => {
    const created = await Promise.all(
      Array.from({ length: 20 }, (_, index) => client.create(service(`many-${index}`))),
    );
    const addresses = created.map(({ spec }) => spec.clusterIP ?? "");
    assert.equal(new Set(addresses).size, 20);
    for (const address of addresses) assert.match(address, /^10\.96\./);
  });

  test("gets the address it asks for, unless it is taken or outside the range", async () => {
    const fixed = await client.create(service("fixed", { clusterIP: "10.96.7.7" }));
    assert.equal(fixed.spec.clusterIP, "10.96.7.7");
    await assert.rejects(client.create(service("thief", { clusterIP: "10.96.7.7" })), {
      code: "api.invalid",
      message: /spec\.clusterIP: must be free, got "10\.96\.7\.7" of Service default\/fixed/,
    });
    await assert.rejects(client.create(service("stray", { clusterIP: "192.0.2.1" })), {
      message: /must be in 10\.96\.0\.0\/16/,
    });
    await client.delete("Service", "default", "fixed");
    assert.ok(await client.create(service("heir", { clusterIP: "10.96.7.7" })));
  });

  test("has none where it is headless or an external name", async () => {
    const headless = await client.create(service("headless", { clusterIP: "None" }));
    assert.equal(headless.spec.clusterIP, "None");
  });
});

describe("deleting", () => {
  test("a pod that runs marks it, until its node deletes it without grace", async () => {
    await client.create(pod("graceful", "node-1"));
    await client.delete("Pod", "default", "graceful");
    const marked = await client.get<Pod>("Pod", "default", "graceful");
    assert.match(marked?.metadata.deletionTimestamp ?? "", /Z$/);
    const path = "/api/v1/namespaces/default/pods/graceful?gracePeriodSeconds=0";
    assert.equal((await admin.send({ method: "DELETE", path })).code, 200);
    assert.equal(await client.get("Pod", "default", "graceful"), undefined);
  });

  test("an object with finalizers waits until the last is taken off", async () => {
    const object = configMap("final");
    await client.create({ ...object, metadata: { ...object.metadata, finalizers: ["a/b"] } });
    await client.delete("ConfigMap", "default", "final");
    const waiting = await client.get<Resource>("ConfigMap", "default", "final");
    assert.ok(waiting?.metadata.deletionTimestamp);
    await client.update({ ...waiting, metadata: { ...waiting.metadata, finalizers: [] } });
    assert.equal(await client.get("ConfigMap", "default", "final"), undefined);
  });

  test("a namespace deletes what is in it, and the permanent ones stay", async () => {
    await client.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: "brief" } });
    await client.create(configMap("inside", {}, "brief"));
    const gone = until(
      "Namespace",
      ({ type, metadata }) => type === "deleted" && metadata.name === "brief",
    );
    await client.delete("Namespace", "", "brief");
    await gone;
    assert.equal(await client.get("ConfigMap", "brief", "inside"), undefined);
    await assert.rejects(client.delete("Namespace", "", "default"), { code: "api.forbidden" });
  });
});

/** The first change of a kind that `wanted` is true of, from now on. */
async function until(
  kind: string,
  wanted: (change: { type: string; metadata: Resource["metadata"] }) => boolean,
): Promise<void> {
  const ending = new AbortController();
  const events: AsyncIterable<ObjectEvent<Resource>> = client.watch(kind, ending.signal);
  for await (const event of events) {
    if (event.type === "synced") continue;
    if (wanted({ type: event.type, metadata: event.object.metadata })) break;
  }
  ending.abort();
}
