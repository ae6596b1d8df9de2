/** Worlds, and what is read from them: defaults, selectors, endpoints, names. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import type { EndpointSlice, Pod, Service } from "../../api/k8s/core.ts";
import type { Resource } from "../../api/resource.ts";
import { matchesSelector } from "./selector.ts";
import { endpointsOf, servicePortsOf } from "./services.ts";
import {
  addressOf,
  isMeshed,
  namespaceLabels,
  serviceAccountOf,
  workloadLabelsOf,
} from "./workloads.ts";
import {
  applyToWorld,
  emptyWorld,
  objectNamed,
  objectsOf,
  type World,
  type WorldChange,
  worldOf,
} from "./world.ts";

function object(kind: string, name: string, namespace?: string): Resource {
  return {
    apiVersion: "v1",
    kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
  };
}

function pod(changes: {
  readonly metadata?: object;
  readonly spec?: object;
  readonly status?: object;
}): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "shop", name: "web-1", ...changes.metadata },
    spec: { containers: [], ...changes.spec },
    ...(changes.status === undefined ? {} : { status: changes.status }),
  };
}

const namesOf = (world: World, kind: string) =>
  objectsOf(world, kind).map(({ metadata }) => metadata.name);

describe("a world", () => {
  test("is the same whether changes come one by one or together", () => {
    const change: fc.Arbitrary<Omit<WorldChange, "version">> = fc.record({
      type: fc.constantFrom("added" as const, "modified" as const, "deleted" as const),
      object: fc
        .tuple(fc.constantFrom("Pod", "Service"), fc.constantFrom("a", "b", "c", "d"))
        .map(([kind, name]) => object(kind, name, "shop")),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 12 }), (drawn) => {
        const changes = drawn.map((each, index) => ({ ...each, version: index + 1 }));
        const together = applyToWorld(emptyWorld(), changes);
        const oneByOne = changes.reduce((world, each) => applyToWorld(world, [each]), emptyWorld());
        assert.deepEqual(together, oneByOne);
        const names = namesOf(together, "Pod");
        assert.deepEqual(names, [...names].sort());
      }),
      { seed: 4 },
    );
  });

  test("keeps the objects of kinds that a change does not touch, lists and all", () => {
    const before = worldOf([object("Pod", "a", "shop"), object("Service", "s", "shop")]);
    const after = applyToWorld(before, [
      { type: "modified", version: 9, object: object("Pod", "a", "shop") },
    ]);
    assert.equal(after.objects.get("Service"), before.objects.get("Service"));
    assert.equal(objectsOf(after, "Service"), objectsOf(before, "Service"));
    assert.notEqual(objectsOf(after, "Pod"), objectsOf(before, "Pod"));
    assert.equal(after.version, 9);
    assert.equal(before.version, 2);
  });

  test("finds objects by kind, namespace and name", () => {
    const world = worldOf([object("Pod", "a", "shop"), object("Node", "a")]);
    assert.equal(objectNamed(world, "Pod", "shop", "a")?.kind, "Pod");
    assert.equal(objectNamed(world, "Node", "", "a")?.kind, "Node");
    assert.equal(objectNamed(world, "Pod", "other", "a"), undefined);
  });
});

describe("a label selector", () => {
  const labels = { app: "web", tier: "front" };
  const cases = [
    [{}, true],
    [{ matchLabels: { app: "web" } }, true],
    [{ matchLabels: { app: "web", tier: "back" } }, false],
    [{ matchExpressions: [{ key: "app", operator: "In", values: ["web", "cart"] }] }, true],
    [{ matchExpressions: [{ key: "zone", operator: "In", values: [""] }] }, false],
    [{ matchExpressions: [{ key: "app", operator: "NotIn", values: ["web"] }] }, false],
    [{ matchExpressions: [{ key: "zone", operator: "NotIn", values: ["a"] }] }, true],
    [{ matchExpressions: [{ key: "tier", operator: "Exists" }] }, true],
    [{ matchExpressions: [{ key: "zone", operator: "Exists" }] }, false],
    [{ matchExpressions: [{ key: "zone", operator: "DoesNotExist" }] }, true],
    [
      {
        matchLabels: { app: "web" },
        matchExpressions: [{ key: "tier", operator: "DoesNotExist" }],
      },
      false,
    ],
  ] as const;
  for (const [selector, expected] of cases) {
    test(`${JSON.stringify(selector)} ${expected ? "selects" : "leaves out"} a front web`, () => {
      assert.equal(matchesSelector(labels, selector), expected);
    });
  }
});

describe("a pod", () => {
  test("runs as the service account `default` unless it names one", () => {
    assert.equal(serviceAccountOf(pod({})), "default");
    assert.equal(serviceAccountOf(pod({ spec: { serviceAccountName: "web" } })), "web");
  });

  test("is in the mesh unless it shares the host's network or asked not to be, by label or annotation", () => {
    const key = "sidecar.istio.io/inject";
    assert.equal(isMeshed(pod({})), true);
    assert.equal(isMeshed(pod({ metadata: { labels: { [key]: "true" } } })), true);
    assert.equal(isMeshed(pod({ metadata: { labels: { [key]: "false" } } })), false);
    assert.equal(isMeshed(pod({ metadata: { annotations: { [key]: "false" } } })), false);
    assert.equal(isMeshed(pod({ spec: { hostNetwork: true } })), false);
  });

  test("has no address before it is given one, nor after its processes have ended", () => {
    assert.equal(addressOf(pod({})), undefined);
    assert.equal(addressOf(pod({ status: { phase: "Running", podIP: "10.0.0.1" } })), "10.0.0.1");
    assert.equal(addressOf(pod({ status: { phase: "Succeeded", podIP: "10.0.0.1" } })), undefined);
  });

  test("is called after its Deployment, also behind a ReplicaSet, and by itself where nothing made it", () => {
    const owner = (kind: string, name: string) => [
      { apiVersion: "apps/v1", kind, name, uid: "u", controller: true },
    ];
    const called = (metadata: object) => workloadLabelsOf(pod({ metadata })).workload;
    assert.equal(called({}), "web-1");
    assert.equal(called({ ownerReferences: owner("Deployment", "web") }), "web");
    assert.equal(
      called({
        ownerReferences: owner("ReplicaSet", "web-5d4f"),
        labels: { "pod-template-hash": "5d4f" },
      }),
      "web",
    );
  });

  test("has app and version from either of the usual labels, else unknown", () => {
    const of = (labels: object) => {
      const { app, version } = workloadLabelsOf(pod({ metadata: { labels } }));
      return [app, version];
    };
    assert.deepEqual(of({ app: "web", version: "v1" }), ["web", "v1"]);
    assert.deepEqual(of({ "app.kubernetes.io/name": "web", "app.kubernetes.io/version": "v2" }), [
      "web",
      "v2",
    ]);
    assert.deepEqual(of({}), ["unknown", "unknown"]);
  });
});

describe("a namespace", () => {
  test("carries its name as a label, with an object or without", () => {
    assert.deepEqual(namespaceLabels(emptyWorld(), "shop"), {
      "kubernetes.io/metadata.name": "shop",
    });
    const labelled: Resource = {
      ...object("Namespace", "shop"),
      metadata: { name: "shop", labels: { team: "a" } },
    };
    assert.deepEqual(namespaceLabels(worldOf([labelled]), "shop"), {
      team: "a",
      "kubernetes.io/metadata.name": "shop",
    });
  });
});

describe("a Service's endpoints", () => {
  const service: Service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: "shop", name: "web" },
    spec: { ports: [{ port: 80 }] },
  };
  const slice = (name: string, changes: object): EndpointSlice => ({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { namespace: "shop", name, labels: { "kubernetes.io/service-name": "web" } },
    addressType: "IPv4",
    ports: [{ port: 8080 }],
    endpoints: [],
    ...changes,
  });
  const found = (...slices: readonly EndpointSlice[]) =>
    endpointsOf(worldOf(slices), service, { name: "", protocol: "TCP" }).map(
      ({ address, port, ready }) => `${address}:${port}${ready ? "" : " not ready"}`,
    );

  test("come from all of its slices, in numeric order, each once, the ready one where two disagree", () => {
    assert.deepEqual(
      found(
        slice("b", {
          endpoints: [
            { addresses: ["10.0.0.10"] },
            { addresses: ["10.0.0.9"], conditions: { ready: false } },
          ],
        }),
        slice("a", { endpoints: [{ addresses: ["10.0.0.9"] }] }),
      ),
      ["10.0.0.9:8080", "10.0.0.10:8080"],
    );
  });

  test("count as ready where nothing is said", () => {
    const endpoints = [{ addresses: ["10.0.0.1"], conditions: {} }];
    assert.deepEqual(found(slice("a", { endpoints })), ["10.0.0.1:8080"]);
  });

  test("are those of the port's name and protocol, and of IPv4", () => {
    const endpoints = [{ addresses: ["10.0.0.1"] }];
    assert.deepEqual(
      found(slice("a", { endpoints, ports: [{ port: 8080, protocol: "UDP" }] })),
      [],
    );
    assert.deepEqual(found(slice("a", { endpoints, ports: [{ port: 8080, name: "http" }] })), []);
    assert.deepEqual(found(slice("a", { endpoints, addressType: "IPv6" })), []);
  });

  test("are reached at the Service's own port where none is named as target", () => {
    assert.deepEqual(servicePortsOf(service), [
      { name: "", protocol: "TCP", port: 80, targetPort: 80 },
    ]);
  });
});
