/** Debian's containerd, by its own client `ctr`, on Heddle's network: names, labels, reach, and ends without a DEL. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { Pod } from "../../src/api/k8s/core.ts";
import { Machine, type Output, skipWithout } from "./machine.ts";

const configuration = `
version = 2
root = "/run/d/containerd"
state = "/run/d/containerd-run"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "/run/d/containerd.sock"
`;

describe("containerd on Heddle's network", {
  skip: skipWithout("/usr/bin/containerd", "/usr/sbin/runc"),
}, () => {
  let machine: Machine;

  before(async () => {
    machine = await Machine.start();
    writeFileSync(machine.outside("/run/d/containerd.toml"), configuration);
    machine.start("containerd", ["--config", "/run/d/containerd.toml"], "/run/d/containerd.log");
    await machine.until("containerd", async () => (await ctr("version")).code === 0);
  });
  after(async () => machine[Symbol.asyncDispose]());

  test("gives a container an address, and its pod the name and labels that containerd keeps", async () => {
    await runServer("web", "app=web");
    const pod = await running("web");
    assert.deepEqual(pod.metadata.labels, { app: "web", ...notMeshed });
    const url = `http://${pod.status?.podIP}/`;
    assert.equal(await machine.must("curl", [...patiently, url]), "web");
    await end("web");
    await nothingLeft();
  });

  test("runs a container to its end and takes its network back", async () => {
    const words = [
      "run",
      "--rm",
      "--cni",
      ...labelled("app=once"),
      "--rootfs",
      "/run/rootfs",
      "once",
    ];
    const { code, stdout, stderr } = await ctr(...words, "/bin/ip", "route");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /default via 169\.254\.1\.1 dev eth0/);
    await nothingLeft();
  });

  test("that never calls DEL may run a container of the same name again at once", async () => {
    await runServer("web", "app=web");
    const first = await running("web");
    await end("web");
    await runServer("web", "app=web");
    const second = await machine.until("the next pod", async () => {
      const pod = await running("web");
      return pod.metadata.uid !== first.metadata.uid ? pod : undefined;
    });
    assert.equal(
      await machine.must("curl", [...patiently, `http://${second.status?.podIP}/`]),
      "web",
    );
    const { attachments } = await machine.status();
    assert.equal(attachments.length, 1);
    await end("web");
    await nothingLeft();
  });

  function ctr(...words: readonly string[]): Promise<Output> {
    return machine.run("ctr", ["--address", "/run/d/containerd.sock", ...words]);
  }

  async function runServer(name: string, label: string): Promise<void> {
    const script = `mkdir -p /tmp/${name}; echo ${name} >/tmp/${name}/index.html; exec httpd -f -p 80 -h /tmp/${name}`;
    const words = ["run", "-d", "--cni", ...labelled(label), "--rootfs", "/run/rootfs", name];
    const { code, stderr } = await ctr(...words, "/bin/sh", "-c", script);
    assert.equal(code, 0, `${stderr}\n${machine.log("agent")}`);
  }

  async function running(name: string): Promise<Pod> {
    return machine.until(`pod ${name}`, async () => {
      const pod = await machine.connection.client.get<Pod>("Pod", "default", name);
      return pod?.status?.podIP !== undefined && pod.status.phase === "Running" ? pod : undefined;
    });
  }

  /** As people do: a detached container's network is nobody's to take back but the agent's. */
  async function end(name: string): Promise<void> {
    await ctr("tasks", "kill", "--signal", "KILL", name);
    await machine.until("the task's end", async () => (await ctr("tasks", "rm", name)).code === 0);
    assert.equal((await ctr("containers", "rm", name)).code, 0);
  }

  async function nothingLeft(): Promise<void> {
    const nothing = JSON.stringify({ links: [], attachments: [], addressesInUse: 0 });
    await machine.until(
      "nothing left",
      async () => (await machine.leftovers()) === nothing,
      60_000,
    );
    await machine.until("no pod left", async () => {
      const { objects } = await machine.connection.client.list("Pod");
      return objects.length === 0;
    });
  }
});

const notMeshed = { "sidecar.istio.io/inject": "false" };
const patiently = ["-s", "-m", "3", "--retry", "20", "--retry-connrefused", "--retry-delay", "0"];

function labelled(label: string): readonly string[] {
  return ["--label", label, "--label", "sidecar.istio.io/inject=false"];
}
