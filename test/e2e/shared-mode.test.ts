/** The shop on two hosts whose pods share a few processes: what holds with a sidecar process for each holds here. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { AgentStatus } from "../../src/agent/status.ts";
import { present } from "../../src/base/error.ts";
import { getText } from "../../src/lab/ask-socket.ts";
import type { PodStatus } from "../../src/lab/status.ts";
import { heddle, skipWithoutRoot, startLab, type TestLab } from "../lab.ts";
import { load, startLoad } from "./load-report.ts";

const products = "http://catalogue/products";

describe("the shop in shared mode", { skip: skipWithoutRoot }, () => {
  let lab: TestLab;
  before(async () => {
    lab = await startLab({ sidecarMode: "shared" });
  });
  after(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  async function meshed(): Promise<readonly PodStatus[]> {
    return (await lab.status()).pods.filter(({ sidecar }) => sidecar !== undefined);
  }

  async function workers(): Promise<AgentStatus["workers"]> {
    const sockets = ["n1", "n2"].map((host) => join(lab.base, lab.name, host, "run", "agent.sock"));
    const answers = await Promise.all(sockets.map((socket) => getText(socket, "/status")));
    return answers.flatMap((text) => (JSON.parse(text) as AgentStatus).workers);
  }

  test("has fewer processes than pods, and says which serves which", async () => {
    const pods = await meshed();
    assert.ok(pods.every(({ worker }) => /^shared-\d$/.test(worker ?? "")));
    const processes = new Set(pods.map(({ sidecar }) => sidecar));
    assert.ok(processes.size < pods.length, `${processes.size} for ${pods.length}`);
    assert.deepEqual(new Set((await workers()).map(({ pid }) => pid)), processes);
  });

  test("gives each pod its own identity: policies tell them apart, and each counts its own", async () => {
    const refused = await lab.request("web", "http://payments/pay", "-X", "POST");
    assert.equal(refused.status, 403);
    const cart = await lab.request("cart", "http://payments/pay", "-X", "POST");
    assert.equal(cart.status, 200, cart.body);
    for (const name of ["web", "cart"]) {
      const stats = await lab.request(name, "http://127.0.0.1:15000/stats/prometheus");
      const lines = stats.body
        .split("\n")
        .filter((line) => line.startsWith("istio_requests_total"));
      const sent = lines.filter((line) => line.includes('reporter="source"'));
      assert.ok(sent.length > 0);
      assert.ok(
        sent.every((line) => line.includes(`source_workload="${name}"`)),
        stats.body,
      );
    }
    const payments = await lab.request("payments", "http://127.0.0.1:15000/stats/prometheus");
    for (const name of ["web", "cart"]) {
      assert.match(
        payments.body,
        new RegExp(
          `connection_security_policy="mutual_tls".*ns/shop/sa/${name}"|ns/shop/sa/${name}".*"mutual_tls"`,
        ),
      );
    }
  });

  test("keeps out whom NetworkPolicy keeps out", async () => {
    const { code } = await lab.curl("outsider", "-m", "2", "http://payments.shop/status");
    assert.equal(code, 28, "curl's code for a time-out");
  });

  test("a killed worker comes back with its pods, and those of others stay where they are", async () => {
    const pods = await meshed();
    const victim = present(pods.find(({ name }) => name.startsWith("cart-"))?.sidecar, "cart");
    process.kill(victim, "SIGKILL");
    await lab.until("its pods are served again", async () => {
      const now = await meshed();
      return now.length === pods.length && now.every(({ sidecar }) => sidecar !== victim);
    });
    const places = new Map((await meshed()).map(({ name, sidecar }) => [name, sidecar]));
    for (const { name, sidecar } of pods) {
      if (sidecar !== victim) assert.equal(places.get(name), sidecar);
    }
    assert.deepEqual((await workers()).map(({ restarts }) => restarts).sort(), [0, 0, 0, 1]);
    const { failures } = await load(lab, "web", "http://cart/items", "4", "--requests", "40");
    assert.deepEqual(failures, []);
  });

  test("an upgrade moves all pods to new processes and no request fails", async () => {
    const old = (await workers()).map(({ pid }) => pid);
    const running = startLoad(lab, "web", products, "4", "--seconds", "6");
    await running.ready;
    const { code, stderr } = await heddle(
      ["node", "upgrade-sidecars", "--lab", lab.name],
      lab.base,
    );
    assert.equal(code, 0, stderr);
    assert.deepEqual((await running.report).failures, []);
    assert.ok((await meshed()).every(({ sidecar }) => !old.includes(sidecar ?? 0)));
    await lab.until("old processes end", async () =>
      old.every((pid) => !existsSync(`/proc/${pid}`)),
    );
  });

  test("an agent that is killed finds its workers again, and a deleted pod leaves them", async () => {
    const places = async () =>
      new Map((await meshed()).map(({ name, sidecar, worker }) => [name, `${sidecar} ${worker}`]));
    const before = await places();
    const node = present((await lab.status()).nodes[0], "node-1");
    process.kill(present(node.pid, "pid of the agent"), "SIGKILL");
    await lab.until("another agent serves node-1", async () => {
      const now = (await lab.status()).nodes[0];
      return (
        now?.pid !== undefined &&
        now.pid !== node.pid &&
        now.ready &&
        (await meshed()).length === before.size
      );
    });
    assert.deepEqual(await places(), before);
    const served = async () => (await workers()).reduce((sum, { pods }) => sum + pods, 0);
    await lab.apply(extra);
    await lab.until("a new pod is ready", async () => (await lab.pods("extra"))[0]?.ready);
    assert.equal(await served(), before.size + 1);
    await lab.delete(extra);
    await lab.until("the new pod is gone", async () => (await lab.pods("extra")).length === 0);
    assert.equal(await served(), before.size);
  });
});

const extra = `
apiVersion: v1
kind: Pod
metadata: { name: extra, labels: { app: extra } }
spec:
  terminationGracePeriodSeconds: 1
  containers: [{ name: extra, image: "curlimages/curl:8.16.0", command: [sleep, infinity] }]
`;
