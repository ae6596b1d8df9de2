/** EndpointSlices from pods, as Kubernetes' controller makes them. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Pod, Service } from "../../api/k8s/core.ts";
import { endpointSlicesFor } from "./endpoint-slices.ts";

const service: Service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { namespace: "shop", name: "web", uid: "service-uid" },
  spec: {
    clusterIP: "10.96.0.1",
    selector: { app: "web" },
    ports: [{ name: "http", port: 80, targetPort: "http", appProtocol: "http" }],
  },
};

function pod(
  name: string,
  changes: { readonly [K in "spec" | "status" | "metadata"]?: object } = {},
): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      namespace: "shop",
      name,
      uid: `${name}-uid`,
      labels: { app: "web" },
      ...changes.metadata,
    },
    spec: {
      nodeName: "one",
      containers: [{ name: "main", image: "any", ports: [{ name: "http", containerPort: 8080 }] }],
      ...changes.spec,
    },
    status: {
      phase: "Running",
      podIP: "10.244.0.1",
      conditions: [{ type: "Ready", status: "True" }],
      ...changes.status,
    },
  };
}

const conditionsOf = (made: Pod, of: Service = service) =>
  endpointSlicesFor(of, [made])[0]?.endpoints[0]?.conditions;

describe("a Service's endpoint slices", () => {
  test("say where each pod answers, on what node, and that the Service owns them", () => {
    const [slice, ...others] = endpointSlicesFor(service, [pod("web-1")]);
    assert.deepEqual(others, []);
    assert.equal(slice?.metadata.labels?.["kubernetes.io/service-name"], "web");
    assert.equal(slice?.metadata.ownerReferences?.[0]?.uid, "service-uid");
    assert.deepEqual(slice?.ports, [
      { name: "http", protocol: "TCP", port: 8080, appProtocol: "http" },
    ]);
    assert.deepEqual(slice?.endpoints, [
      {
        addresses: ["10.244.0.1"],
        conditions: { ready: true, serving: true, terminating: false },
        nodeName: "one",
        targetRef: { kind: "Pod", name: "web-1", namespace: "shop", uid: "web-1-uid" },
      },
    ]);
  });

  test("leave out pods of other namespaces and labels, without an address, or ended", () => {
    const others = [
      pod("a", { metadata: { namespace: "other" } }),
      pod("b", { metadata: { labels: { app: "cart" } } }),
      pod("c", { status: { podIP: undefined } }),
      pod("d", { status: { phase: "Failed" } }),
    ];
    assert.deepEqual(endpointSlicesFor(service, others), []);
  });

  test("call a pod ready by its condition, and no longer once its deletion has begun", () => {
    const unready = pod("web-1", { status: { conditions: [] } });
    const leaving = pod("web-1", { metadata: { deletionTimestamp: "2024-01-01T00:00:00Z" } });
    assert.deepEqual(conditionsOf(unready), { ready: false, serving: false, terminating: false });
    assert.deepEqual(conditionsOf(leaving), { ready: false, serving: true, terminating: true });
  });

  test("call every pod ready where the Service publishes those that are not", () => {
    const all: Service = { ...service, spec: { ...service.spec, publishNotReadyAddresses: true } };
    assert.equal(conditionsOf(pod("web-1", { status: { conditions: [] } }), all)?.ready, true);
  });

  test("are one for each meaning of a port's name", () => {
    const containers = [
      { name: "m", image: "any", ports: [{ name: "http", containerPort: 9090 }] },
    ];
    const slices = endpointSlicesFor(service, [
      pod("web-1"),
      pod("web-2", { spec: { containers }, status: { podIP: "10.244.0.2" } }),
      pod("web-3", { spec: { containers: [] }, status: { podIP: "10.244.0.3" } }),
    ]);
    assert.deepEqual(
      slices.map(({ ports, endpoints }) => [ports[0]?.port, endpoints[0]?.addresses[0]]).sort(),
      [
        [8080, "10.244.0.1"],
        [9090, "10.244.0.2"],
      ],
    );
  });

  test("keep their names when pods come and go", () => {
    const [one] = endpointSlicesFor(service, [pod("web-1")]);
    const [two] = endpointSlicesFor(service, [pod("web-0"), pod("web-1")]);
    assert.equal(one?.metadata.name, two?.metadata.name);
  });

  test("are the user's own for a Service without a selector", () => {
    const { selector: _, ...spec } = service.spec;
    assert.deepEqual(endpointSlicesFor({ ...service, spec }, [pod("web-1")]), []);
  });

  test("name a pod's host where its subdomain is the Service", () => {
    const named = (subdomain: string) =>
      endpointSlicesFor(service, [
        pod("web-1", {
          spec: { hostname: "first", subdomain, containers: pod("x").spec.containers },
        }),
      ])[0]?.endpoints[0]?.hostname;
    assert.equal(named("web"), "first");
    assert.equal(named("other"), undefined);
  });
});
