/** Apply and patches. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Service } from "../api/k8s/core.ts";
import type { Resource } from "../api/resource.ts";
import { configMap, service } from "./testdata/objects.ts";
import { clientOver, runningServer } from "./testdata/running-server.ts";

const { admin, client } = await runningServer();

describe("apply", () => {
  test("creates, merges, and takes away what the manifest no longer has", async () => {
    const rule = (spec: unknown) => ({
      apiVersion: "networking.istio.io/v1",
      kind: "DestinationRule",
      metadata: { name: "applied", namespace: "default" },
      spec,
    });
    await client.apply(rule({ host: "a", trafficPolicy: { loadBalancer: { simple: "RANDOM" } } }));
    const other = clientOver(admin, "somebody-else");
    await other.apply({
      ...rule({ host: "a" }),
      metadata: { name: "applied", namespace: "default", labels: { team: "web" } },
    });
    const after = await client.apply<Resource & { spec?: unknown }>(rule({ host: "a" }));
    assert.deepEqual(after.spec, { host: "a" });
    assert.deepEqual(after.metadata.labels, { team: "web" });
    const again = await client.apply<Resource>(rule({ host: "a" }));
    assert.equal(again.metadata.resourceVersion, after.metadata.resourceVersion);
  });

  test("keeps what the server decided: a Service's address, a Deployment's status", async () => {
    const first = await client.apply(service("applied-service", { port: 80 }));
    const second = await client.apply(service("applied-service", { port: 81 }));
    assert.equal(second.spec.clusterIP, first.spec.clusterIP);
    assert.equal(second.spec.ports?.[0]?.port, 81);
  });
});

describe("a patch", () => {
  test("merges, by JSON merge patch", async () => {
    await client.create(configMap("patched", { a: "1", b: "2" }));
    const body = await patch("patched", "application/merge-patch+json", {
      data: { a: null, c: "3" },
    });
    assert.deepEqual((body as { data: unknown }).data, { b: "2", c: "3" });
  });

  test("edits, by JSON patch, or changes nothing when a test does not hold", async () => {
    await client.create(configMap("edited", { a: "1" }));
    const type = "application/json-patch+json";
    const ops = [
      { op: "test", path: "/data/a", value: "1" },
      { op: "add", path: "/data/b~1c", value: "2" },
      { op: "move", from: "/data/a", path: "/data/d" },
    ];
    assert.deepEqual(((await patch("edited", type, ops)) as { data: unknown }).data, {
      "b/c": "2",
      d: "1",
    });
    const refused = (await patch("edited", type, ops)) as { code: number };
    assert.equal(refused.code, 400);
  });

  test("that removes the length of a list is refused and removes no member", async () => {
    await client.create({
      ...service("listed"),
      metadata: { name: "listed", namespace: "default" },
    });
    const answer = await admin.send({
      method: "PATCH",
      path: "/api/v1/namespaces/default/services/listed",
      mediaType: "application/json-patch+json",
      body: [{ op: "remove", path: "/spec/ports/length" }],
    });
    assert.equal(answer.code, 400);
    assert.equal(
      (await client.get<Service>("Service", "default", "listed"))?.spec.ports?.length,
      1,
    );
  });

  async function patch(name: string, mediaType: string, body: unknown): Promise<unknown> {
    const path = `/api/v1/namespaces/default/configmaps/${name}`;
    return (await admin.send({ method: "PATCH", path, mediaType, body })).body;
  }
});
