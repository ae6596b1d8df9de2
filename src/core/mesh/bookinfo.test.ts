/** Bookinfo's published manifests give the splits that its tutorial promises. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { compileFor, objectsIn } from "../../../test/worlds/mesh.ts";
import type { Deployment, Pod, Service } from "../../api/k8s/core.ts";
import { type World, worldOf } from "../registry/world.ts";
import { endpointSlicesFor } from "../services/endpoint-slices.ts";
import { walkInbound, walkOutbound } from "./walk.ts";

const folder = new URL("../../../../shared/samples/bookinfo/", import.meta.url);
const skip = existsSync(folder) ? false : "the Bookinfo samples are not beside the project";

function bookinfo(...files: readonly string[]): World {
  const objects = ["bookinfo.yaml", ...files].flatMap((file) =>
    objectsIn(readFileSync(new URL(file, folder), "utf8"), "default"),
  );
  const pods = objects
    .filter((object): object is Deployment => object.kind === "Deployment")
    .map((deployment, index): Pod => {
      const { template } = deployment.spec;
      return {
        apiVersion: "v1",
        kind: "Pod",
        metadata: {
          namespace: "default",
          name: deployment.metadata.name,
          labels: template.metadata?.labels ?? {},
        },
        spec: template.spec,
        status: {
          phase: "Running",
          podIP: `10.244.0.${index + 1}`,
          conditions: [{ type: "Ready", status: "True" }],
        },
      };
    });
  const services = objects
    .filter((object): object is Service => object.kind === "Service")
    .map((service, index) => ({
      ...service,
      spec: { ...service.spec, clusterIP: `10.96.0.${index + 1}` },
    }));
  return worldOf([
    ...objects,
    ...pods,
    ...services,
    ...services.flatMap((service) => endpointSlicesFor(service, pods)),
  ]);
}

/** `reviews: v1 90% of 1 endpoint, v3 10% of 1 endpoint`. */
function split(world: World, host: string, headers: Readonly<Record<string, string>> = {}): string {
  const { value } = compileFor(world, "default/productpage-v1");
  const walk = walkOutbound(value, {
    address: "10.96.0.1",
    port: 9080,
    http: { host: `${host}:9080`, headers },
  });
  return walk.destinations
    .map(({ cluster, share, endpoints }) => {
      const versions = new Set(endpoints?.map(({ workload }) => workload?.version));
      return `${cluster.split("|")[2] || "any"} ${share * 100}% of ${[...versions].join("+")}`;
    })
    .join(", ");
}

describe("Bookinfo", { skip }, () => {
  test("without rules reaches all versions of reviews", () => {
    assert.equal(split(bookinfo(), "reviews"), "any 100% of v1+v2+v3");
  });

  test("with all rules to v1 reaches only v1, everywhere", () => {
    const world = bookinfo("destination-rule-all.yaml", "virtual-service-all-v1.yaml");
    for (const host of ["reviews", "ratings", "details"]) {
      assert.equal(split(world, host), "v1 100% of v1");
    }
    assert.deepEqual(compileFor(world, "default/productpage-v1").diagnostics, []);
  });

  const splits: readonly (readonly [file: string, expected: string])[] = [
    ["virtual-service-reviews-90-10.yaml", "v1 90% of v1, v2 10% of v2"],
    ["virtual-service-reviews-80-20.yaml", "v1 80% of v1, v2 20% of v2"],
    ["virtual-service-reviews-50-v3.yaml", "v1 50% of v1, v3 50% of v3"],
    ["virtual-service-reviews-v2-v3.yaml", "v2 50% of v2, v3 50% of v3"],
    ["virtual-service-reviews-v3.yaml", "v3 100% of v3"],
  ];
  for (const [file, expected] of splits) {
    test(`with ${file} splits reviews: ${expected}`, () => {
      assert.equal(split(bookinfo("destination-rule-all.yaml", file), "reviews"), expected);
    });
  }

  test("sends jason elsewhere", () => {
    const world = bookinfo("destination-rule-all.yaml", "virtual-service-reviews-jason-v2-v3.yaml");
    assert.equal(split(world, "reviews", { "end-user": "jason" }), "v2 100% of v2");
    assert.equal(split(world, "reviews"), "v3 100% of v3");
  });

  test("delays jason's ratings", () => {
    const world = bookinfo("destination-rule-all.yaml", "virtual-service-ratings-test-delay.yaml");
    const { value } = compileFor(world, "default/reviews-v2");
    const at = (headers: Readonly<Record<string, string>>): unknown =>
      walkOutbound(value, {
        address: "10.96.0.1",
        port: 9080,
        http: { host: "ratings:9080", headers },
      }).route?.fault;
    assert.deepEqual(at({ "end-user": "jason" }), { delay: { percent: 100, fixedMs: 7000 } });
    assert.equal(at({}), undefined);
  });

  test("speaks mesh TLS to the accounts of the manifests and takes it", () => {
    const world = bookinfo("destination-rule-all-mtls.yaml");
    const { value } = compileFor(world, "default/productpage-v1");
    const cluster = value.clusters.find(({ name }) => name.startsWith("outbound|9080|v1|reviews"));
    assert.deepEqual(cluster?.tls?.subjectAltNames, [
      "spiffe://cluster.local/ns/default/sa/bookinfo-reviews",
    ]);
    const inbound = walkInbound(compileFor(world, "default/reviews-v1").value, {
      port: 9080,
      tls: { kind: "mesh", principal: "cluster.local/ns/default/sa/bookinfo-productpage" },
      http: { host: "reviews:9080" },
    });
    assert.deepEqual([inbound.verdict, inbound.isMutual], ["allow", true]);
  });
});
