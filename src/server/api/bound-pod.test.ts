import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Pod } from "../../api/k8s/core.ts";
import { seededRandom } from "../../base/random.ts";
import { memoryStore } from "../../store/memory.ts";
import { createFirstObjects } from "../first-objects.ts";
import type { InvalidObject } from "./invalid.ts";
import { keyOf, type Objects, openObjects } from "./objects.ts";
import { openServiceAddresses } from "./service-addresses.ts";

const excluded = "traffic.sidecar.istio.io/excludeInboundPorts";

async function openApi(): Promise<Objects> {
  const store = memoryStore();
  const addresses = await openServiceAddresses(store);
  const objects = openObjects({ store, addresses, now: () => 0, random: seededRandom(1) });
  await createFirstObjects(objects);
  return objects;
}

function pod(metadata: Partial<Pod["metadata"]> = {}, spec: Partial<Pod["spec"]> = {}): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "web", namespace: "default", ...metadata },
    spec: { nodeName: "node-1", containers: [{ name: "app", image: "app" }], ...spec },
  };
}

/** What is refused of a change from one to the other: paths. */
async function refused(before: Pod, after: Pod): Promise<readonly string[]> {
  const objects = await openApi();
  await objects.create(before);
  try {
    await objects.change(keyOf(after), "object", () => after);
    return [];
  } catch (error) {
    return (error as InvalidObject).issues.map(({ path }) => path);
  }
}

describe("a pod that is bound to a node", () => {
  test("keeps its capture annotations, which callers believed at once and its rules never followed", async () => {
    const objects = await openApi();
    const running = pod({ annotations: { [excluded]: "9090" } });
    await objects.create(running);
    const changed = pod({ annotations: { [excluded]: "8080" } });
    await assert.rejects(
      objects.change(keyOf(running), "object", () => changed),
      {
        code: "api.invalid",
        message: `Pod default/web is invalid: metadata.annotations["${excluded}"]: must stay "9090" for as long as the pod lives, got "8080"; delete the pod and make it anew`,
      },
    );
    const { metadata } = await objects.get(keyOf(running));
    assert.deepEqual(metadata.annotations, { [excluded]: "9090" });
  });

  test("does not join or leave the mesh, become a gateway, or lose an annotation", async () => {
    const inject = "sidecar.istio.io/inject";
    const templates = "inject.istio.io/templates";
    const label = (labels: Readonly<Record<string, string>>) => pod({ labels });
    const annotated = (annotations: Readonly<Record<string, string>>) => pod({ annotations });
    const cases: readonly (readonly [Pod, Pod, readonly string[]])[] = [
      [pod(), label({ [inject]: "false" }), [`metadata.labels["${inject}"]`]],
      [annotated({ [inject]: "false" }), pod(), [`metadata.annotations["${inject}"]`]],
      [pod(), annotated({ [templates]: "gateway" }), [`metadata.annotations["${templates}"]`]],
      [annotated({ [excluded]: "80" }), pod(), [`metadata.annotations["${excluded}"]`]],
    ];
    for (const [before, after, paths] of cases) {
      assert.deepEqual(await refused(before, after), paths);
    }
  });

  test("stays on its node, in its network and who it is", async () => {
    const changes = { nodeName: "node-2", hostNetwork: true, serviceAccountName: "other" };
    const paths = ["spec.nodeName", "spec.hostNetwork", "spec.serviceAccountName"];
    assert.deepEqual(await refused(pod(), pod({}, changes)), paths);
    const { nodeName: _, ...unbound } = pod().spec;
    assert.deepEqual(await refused(pod(), { ...pod(), spec: unbound }), ["spec.nodeName"]);
  });

  test("may change whatever means the same to its sidecar, and all that it does not look at", async () => {
    const spec = { serviceAccountName: "default", hostNetwork: false };
    const metadata = {
      labels: { app: "web", "sidecar.istio.io/inject": "true" },
      annotations: { [excluded]: "80, 81", note: "seen" },
    };
    const before = pod({ annotations: { [excluded]: "80,81,81" } });
    assert.deepEqual(await refused(before, pod(metadata, spec)), []);
  });
});

test("a pod that no node has yet may be changed, and bound at the same time", async () => {
  const { nodeName: _, ...unbound } = pod().spec;
  const before: Pod = { ...pod({ annotations: { [excluded]: "80" } }), spec: unbound };
  assert.deepEqual(await refused(before, pod({ annotations: { [excluded]: "81" } })), []);
});
