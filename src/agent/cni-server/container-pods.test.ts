import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createLog } from "../../base/log.ts";
import { fakeObjects } from "../fake/objects.ts";
import { ContainerPods } from "./container-pods.ts";

const nowhere = { podman: "/nonexistent", containerd: "/nonexistent" };
const call = { containerId: "c1", name: "web", aliases: [] };
const key = "Pod default/web";

describe("the pod of a container that is started again", () => {
  test("is not deleted by what the DEL before could not delete", async () => {
    const { objects, pods } = node();
    const { namespace, name } = await pods.make(call);
    objects.failOn((verb) => (verb === "delete" ? new Error("no server") : undefined));
    pods.unmake(namespace, name);
    await pods.make(call);
    objects.failOn(undefined);
    pods.retry();
    await pods.make({ ...call, containerId: "c2", name: "other" });
    assert.ok(objects.all.has(key));
  });

  test("is made after the deletion that is under way, and stays", async () => {
    const { objects, pods } = node();
    const { namespace, name } = await pods.make(call);
    const asked = Promise.withResolvers<void>();
    const deleteNow = objects.delete;
    objects.delete = async (...named) => {
      await asked.promise;
      return deleteNow(...named);
    };
    pods.unmake(namespace, name);
    const again = pods.make(call);
    asked.resolve();
    assert.equal((await again).isNew, true);
    assert.ok(objects.all.has(key));
  });
});

function node() {
  const objects = fakeObjects();
  const log = createLog(() => undefined, Date.now);
  return { objects, pods: new ContainerPods("node-1", objects, nowhere, log) };
}
