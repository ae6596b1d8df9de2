/** What is said of the fields of an object that is written. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { VirtualService } from "../api/istio/networking.ts";
import type { Service } from "../api/k8s/core.ts";
import type { ApiError } from "../rpc/api-error.ts";
import { service } from "./testdata/objects.ts";
import { runningServer } from "./testdata/running-server.ts";

const { admin, client } = await runningServer();

describe("field validation", () => {
  const uneven = {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: "uneven" },
    spec: {
      hosts: ["reviews"],
      http: [
        {
          route: [
            { destination: { host: "reviews", subset: "v1" }, weight: 80 },
            { destination: { host: "reviews", subset: "v2" }, weight: 10 },
          ],
        },
      ],
    },
  };
  const path = "/apis/networking.istio.io/v1/namespaces/default/virtualservices";
  const create = (name: string, mode: string) =>
    admin.send({
      method: "POST",
      path: `${path}?fieldValidation=${mode}`,
      body: { ...uneven, metadata: { name } },
    });

  test("Strict refuses weights that do not add up, naming the path", async () => {
    const { code, body } = await create("uneven-strict", "Strict");
    assert.equal(code, 422);
    const status = body as { message: string; reason: string; details: { causes: unknown } };
    assert.equal(
      status.message,
      "VirtualService default/uneven-strict is invalid: spec.http[0].route: weights must sum to 100, got 90",
    );
    assert.deepEqual(status.details.causes, [
      {
        reason: "FieldValueWarning",
        message: "weights must sum to 100, got 90",
        field: "spec.http[0].route",
      },
    ]);
  });

  test("Warn stores the object and says so in a header, Ignore is silent", async () => {
    const warned = await create("uneven-warned", "Warn");
    assert.equal(warned.code, 201);
    assert.deepEqual(warned.warnings, ["spec.http[0].route: weights must sum to 100, got 90"]);
    const ignored = await create("uneven-ignored", "Ignore");
    assert.deepEqual([ignored.code, ignored.warnings], [201, []]);
  });

  test("keeps no field that is null, in lists neither, where one froze every sidecar's configuration", async () => {
    const route = [{ destination: { host: "reviews", subset: null }, headers: null }];
    const rule = { match: null, delegate: null, timeout: null, route };
    const body = {
      ...uneven,
      metadata: { name: "nulls", namespace: "default" },
      spec: { hosts: ["reviews"], http: [rule, { match: [null], route }] },
    };
    const wanted = [
      { route: [{ destination: { host: "reviews" } }] },
      { match: [null], route: [{ destination: { host: "reviews" } }] },
    ];
    const apply = {
      method: "PATCH",
      path: `${path}/nulls?fieldManager=test`,
      mediaType: "application/apply-patch+yaml",
      body,
    };
    for (const request of [{ method: "POST", path, body }, apply]) {
      const { body: stored } = await admin.send(request);
      const { spec, metadata } = stored as VirtualService;
      assert.deepEqual([spec.http, metadata.generation], [wanted, 1]);
    }
    const matched = { match: [{ headers: { "x-user": null } }], route };
    const { code } = await admin.send({
      ...apply,
      body: { ...body, spec: { ...body.spec, http: [matched] } },
    });
    assert.equal(code, 422, "without its header it would take every request");
  });

  test("Strict lets an object be labelled that was stored with warnings", async () => {
    const { code } = await admin.send({
      method: "PATCH",
      path: `${path}/uneven-warned?fieldValidation=Strict`,
      mediaType: "application/merge-patch+json",
      body: { metadata: { labels: { reviewed: "yes" } } },
    });
    assert.equal(code, 200);
  });

  test("names every field of an object that is wrong in several ways, and stores nothing", async () => {
    const broken = service("broken", { port: 70000 });
    const wrong = { ...broken, spec: { ...broken.spec, type: "Cluster" } } as unknown as Service;
    await assert.rejects(client.create(wrong), (error: ApiError) => {
      assert.equal(error.code, "api.invalid");
      assert.deepEqual(
        error.causes.map(({ field }) => field),
        ["spec.type", "spec.ports[0].port"],
      );
      return true;
    });
    assert.equal(await client.get("Service", "default", "broken"), undefined);
  });
});
