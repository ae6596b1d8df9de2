import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Container, Pod } from "../../api/k8s/core.ts";
import { containerEnv } from "./container-env.ts";
import { type ContainerState, podStatus } from "./status.ts";

function container(phase: ContainerState["phase"]): ContainerState {
  return { name: "app", image: "app:1", phase, restartCount: 0 };
}

const running = (ready: boolean) => container({ kind: "running", ready });
const ended = (exitCode: number) => container({ kind: "ended", exitCode });
const waiting = (reason: string) => container({ kind: "waiting", reason, message: `is ${reason}` });

describe("a pod", () => {
  test("is ready when every container is, and in the phase that its containers make", () => {
    const rows: [ContainerState[], string, "True" | "False"][] = [
      [[running(true), running(true)], "Running", "True"],
      [[running(true), running(false)], "Running", "False"],
      [[running(true), waiting("Restarting")], "Pending", "False"],
      [[ended(0), ended(0)], "Succeeded", "False"],
      [[ended(0), ended(1)], "Failed", "False"],
      [[running(true), ended(0)], "Running", "False"],
    ];
    for (const [containers, phase, ready] of rows) {
      const status = podStatus(containers, "then", "now");
      assert.equal(status.phase, phase);
      assert.equal(status.conditions.find(({ type }) => type === "Ready")?.status, ready);
    }
  });

  test("tells what it waits for once it is more than its turn, and takes it back", () => {
    const says = (...containers: ContainerState[]) => podStatus(containers, "then", "now").message;
    assert.equal(says(waiting("ContainerCreating")), null);
    assert.equal(says(waiting("ImageUnknown"), waiting("ImageUnknown")), "is ImageUnknown");
    assert.equal(says(running(true)), null);
  });
});

describe("the environment of a container", () => {
  const pod: Pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "web-1", namespace: "shop", labels: { app: "web" } },
    spec: { nodeName: "node-1", containers: [] },
  };
  const fieldRef = (name: string, fieldPath: string) => ({
    name,
    valueFrom: { fieldRef: { fieldPath } },
  });

  test("has the image's and the manifest's variables, fields of the pod, and references", () => {
    const spec: Container = {
      name: "app",
      image: "app:1",
      env: [
        { name: "PORT", value: "81" },
        fieldRef("POD", "metadata.name"),
        fieldRef("IP", "status.podIP"),
        fieldRef("APP", "metadata.labels['app']"),
        { name: "URL", value: "http://$(POD):$(PORT)/$(NONE)/$$(PORT)" },
      ],
    };
    const env = containerEnv(pod, spec, { PORT: "80", MODE: "x" }, { address: "10.0.0.1" });
    const { PATH: _path, HOME: _home, ...rest } = env;
    assert.deepEqual(rest, {
      HOSTNAME: "web-1",
      MODE: "x",
      PORT: "81",
      POD: "web-1",
      IP: "10.0.0.1",
      APP: "web",
      URL: "http://web-1:81/$(NONE)/$(PORT)",
    });
  });
});
