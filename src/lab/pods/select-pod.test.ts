import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Pod } from "../../api/k8s/core.ts";
import { progressOf } from "../readiness-wait.ts";
import { selectPod } from "./select-pod.ts";

function pod(namespace: string, name: string, app: string, ready = true): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace,
      labels: { app },
      ownerReferences: [
        { apiVersion: "apps/v1", kind: "Deployment", name: app, uid: `uid-${app}` },
      ],
    },
    spec: { nodeName: "node-1", containers: [] },
    status: { conditions: [{ type: "Ready", status: ready ? "True" : "False", message: "slow" }] },
  };
}

const pods = [
  pod("shop", "cart-1", "cart", false),
  pod("shop", "cart-2", "cart"),
  pod("shop", "web-1", "web"),
  pod("outside", "web-9", "web"),
];

describe("a pod", () => {
  test("is found by name, by namespace and name, or by its Deployment's name when ready", () => {
    const rows: [string, string | undefined, string][] = [
      ["cart-1", undefined, "cart-1"],
      ["shop/cart-2", undefined, "cart-2"],
      ["cart", undefined, "cart-2"],
      ["shop/web", undefined, "web-1"],
      ["web", "outside", "web-9"],
    ];
    for (const [wanted, namespace, name] of rows) {
      assert.equal(selectPod(pods, wanted, namespace).metadata.name, name);
    }
  });

  test("that is not there or not the only one is refused with what there is", () => {
    assert.throws(() => selectPod(pods, "web"), { code: "lab.pod.ambiguous" });
    assert.throws(() => selectPod(pods, "nobody", "shop"), {
      code: "lab.pod.absent",
      message:
        'there is no pod, Deployment or app named "nobody" in namespace shop; there are: shop/cart-1, shop/cart-2, shop/web-1',
    });
  });
});

describe("what a lab waits for", () => {
  test("is every pod ready and every replica made", () => {
    const deployment = {
      apiVersion: "apps/v1",
      kind: "Deployment" as const,
      metadata: { name: "cart", namespace: "shop", uid: "uid-cart" },
      spec: { replicas: 3, selector: {}, template: { spec: { containers: [] } } },
    };
    assert.deepEqual(progressOf([deployment], pods), {
      ready: 3,
      wanted: 5,
      missing: ["shop/cart-1: slow", "shop/cart: 2 of 3 pods made"],
      problems: [],
      isHopeless: false,
    });
  });
});
