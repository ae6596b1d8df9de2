/** `kill -9` of one process at a time under steady load: the others go on, the killed one is back, nothing is lost. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { present } from "../../src/base/error.ts";
import { getText } from "../../src/lab/ask-socket.ts";
import { hostPaths, labPaths } from "../../src/lab/names.ts";
import { skipWithoutRoot, startLab, type TestLab } from "../lab.ts";
import { startLoad } from "./load-report.ts";

const products = "http://catalogue/products";

describe("under steady load", { skip: skipWithoutRoot }, () => {
  let lab: TestLab;
  before(async () => {
    lab = await startLab();
  });
  after(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  /** Every pod has one address, no address has two pods, and the agents hold exactly those addresses. */
  async function addressesAgree(): Promise<void> {
    await lab.until("agents hold the addresses that pods have", async () => {
      const { pods } = await lab.status();
      const wanted = pods.map(({ ip }) => present(ip, "address of a pod")).sort();
      assert.equal(new Set(wanted).size, wanted.length, "an address was given twice");
      const held: string[] = [];
      for (const index of [1, 2]) {
        const { run } = hostPaths(labPaths(lab.name, lab.base), index);
        const text = await getText(join(run, "agent.sock"), "/status").catch(() => undefined);
        if (text === undefined) return false;
        held.push(...attachedAddresses(text));
      }
      return JSON.stringify(held.sort()) === JSON.stringify(wanted);
    });
  }

  /** Everything that the manifests want runs and answers, and a new pod gets an address that nobody has. */
  async function everythingWorks(): Promise<void> {
    const page = await lab.request("visitor", "http://web/", "-m", "10");
    assert.equal(page.status, 200, page.body);
    await lab.apply(extra);
    await lab.until("a new pod is ready", async () => (await lab.pods("extra"))[0]?.ready);
    await addressesAgree();
    await lab.delete(extra);
    await lab.until("the new pod is gone", async () => (await lab.pods("extra")).length === 0);
    const shut = await lab.curl("outsider", "-m", "1", "http://payments.shop/status");
    assert.equal(shut.code, 28, "policy holds");
  }

  test("killed agents come back and no request fails meanwhile, on connections old or new", async () => {
    const loads = [
      startLoad(lab, "web", products, "4", "--seconds", "8"),
      startLoad(lab, "web", products, "1", "--seconds", "8", "--fresh"),
    ];
    await Promise.all(loads.map(({ ready }) => ready));
    for (const index of [0, 1, 0]) {
      const killed = present((await lab.status()).nodes[index], `node-${index + 1}`).pid;
      process.kill(present(killed, "pid of the agent"), "SIGKILL");
      await lab.until(`another agent serves node-${index + 1}`, async () => {
        const node = (await lab.status()).nodes[index];
        return node?.pid !== undefined && node.pid !== killed && node.ready;
      });
    }
    for (const { report } of loads) {
      const { requests, failures } = await report;
      assert.deepEqual(failures, []);
      assert.ok(requests > 20, `${requests} requests`);
    }
    await everythingWorks();
  });

  test("agents replaced as an upgrade does it cost no request, no call and no byte of a kept connection through sidecars", async () => {
    await lab.apply(echo);
    for (const pod of ["echo", "lines", "asker"]) {
      await lab.until(`${pod} is ready`, async () => (await lab.pods(pod))[0]?.ready);
    }
    const loads = [
      startLoad(lab, "web", products, "4", "--seconds", "12"),
      startLoad(lab, "web", products, "1", "--seconds", "12", "--fresh"),
      startLoad(
        lab,
        "asker",
        "grpc://echo.default.svc.cluster.local:17070",
        "2",
        "--seconds",
        "12",
      ),
      startLoad(lab, "asker", "tcp://lines.default.svc.cluster.local:9000", "4", "--seconds", "12"),
    ];
    await Promise.all(loads.map(({ ready }) => ready));
    for (const index of [0, 1, 0, 1]) {
      const stopped = present((await lab.status()).nodes[index], `node-${index + 1}`).pid;
      process.kill(present(stopped, "pid of the agent"), "SIGTERM");
      await lab.until(`another agent serves node-${index + 1}`, async () => {
        const node = (await lab.status()).nodes[index];
        return node?.pid !== undefined && node.pid !== stopped && node.ready;
      });
    }
    for (const { report } of loads) {
      const { requests, failures } = await report;
      assert.deepEqual(failures, []);
      assert.ok(requests > 20, `${requests} requests`);
    }
    await lab.delete(echo);
    await everythingWorks();
  });

  test("a killed server comes back with the same state and no request fails meanwhile", async () => {
    const before = await lab.status();
    const running = startLoad(lab, "web", products, "4", "--seconds", "5");
    await running.ready;
    process.kill(present(before.server.pid, "pid of the server"), "SIGKILL");
    const back = await lab.until("another server answers", async () => {
      const status = await lab.status().catch(() => undefined);
      return status !== undefined && status.server.pid !== before.server.pid && status;
    });
    const names = (pods: typeof before.pods) =>
      pods.map(({ namespace, name, ip }) => [namespace, name, ip]);
    assert.deepEqual(names(back.pods), names(before.pods));
    const report = await running.report;
    assert.deepEqual(report.failures, []);
    await everythingWorks();
  });

  test("a killed sidecar comes back and only its own connections notice", async () => {
    const victim = present((await lab.pods("cart-"))[0], "a cart pod");
    const running = startLoad(lab, "web", products, "4", "--seconds", "5");
    const own = startLoad(lab, "web", "http://cart/items", "4", "--seconds", "5");
    await Promise.all([running.ready, own.ready]);
    process.kill(present(victim.sidecar, "pid of the sidecar"), "SIGKILL");
    await lab.until("another sidecar serves the pod", async () => {
      const now = (await lab.pods("cart-")).find(({ name }) => name === victim.name);
      return now?.sidecar !== undefined && now.sidecar !== victim.sidecar;
    });
    assert.deepEqual((await running.report).failures, []);
    const { failures } = await own.report;
    assert.ok(
      failures.length <= 4,
      `${failures.length}, more than what was in flight: ${JSON.stringify(failures.slice(0, 3))}`,
    );
    await everythingWorks();
  });
});

function attachedAddresses(status: string): string[] {
  const { attachments } = JSON.parse(status) as { attachments: { address: string }[] };
  return attachments.map(({ address }) => address);
}

const echo = `
apiVersion: v1
kind: Pod
metadata: { name: asker, labels: { app: asker } }
spec:
  terminationGracePeriodSeconds: 1
  containers: [{ name: asker, image: "curlimages/curl:8.16.0", command: [sleep, infinity] }]
---
apiVersion: v1
kind: Pod
metadata: { name: echo, labels: { app: echo } }
spec:
  terminationGracePeriodSeconds: 1
  containers: [{ name: echo, image: "gcr.io/istio-testing/app:latest", args: [--grpc, "17070"] }]
---
apiVersion: v1
kind: Service
metadata: { name: echo }
spec:
  selector: { app: echo }
  ports: [{ name: grpc, port: 17070 }]
---
apiVersion: v1
kind: Pod
metadata: { name: lines, labels: { app: lines } }
spec:
  terminationGracePeriodSeconds: 1
  containers: [{ name: lines, image: "istio/tcp-echo-server:1.3", args: ["9000", hello] }]
---
apiVersion: v1
kind: Service
metadata: { name: lines }
spec:
  selector: { app: lines }
  ports: [{ name: tcp, port: 9000 }]
`;

const extra = `
apiVersion: v1
kind: Pod
metadata: { name: extra, labels: { app: extra } }
spec:
  terminationGracePeriodSeconds: 1
  containers: [{ name: extra, image: "curlimages/curl:8.16.0", command: [sleep, infinity] }]
`;
