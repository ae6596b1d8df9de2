/** Live traffic in a lab: what is sent is seen, at once and to the request; what is not known is not made up. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { present } from "../../src/base/error.ts";
import { fetchGraph, fetchPods } from "../../src/cli/top/views.ts";
import type { GraphEdge, ServiceView, TappedRequest } from "../../src/model/observation.ts";
import { heddle, projectRoot, skipWithoutRoot, startLab, type TestLab } from "../lab.ts";
import { load, startLoad } from "./load-report.ts";

/** Called by nobody but the tests. */
const quiet = `
apiVersion: v1
kind: Namespace
metadata: { name: quiet }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: echo, namespace: quiet }
spec:
  replicas: 2
  selector: { matchLabels: { app: echo } }
  template:
    metadata: { labels: { app: echo, version: v1 } }
    spec:
      containers: [{ name: echo, image: "heddle.dev/echo-service:1", env: [{ name: SERVICE, value: echo }] }]
---
apiVersion: v1
kind: Service
metadata: { name: echo, namespace: quiet }
spec: { selector: { app: echo }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: client, namespace: quiet, labels: { app: client } }
spec: { containers: [{ name: client, image: "curlimages/curl:8.16.0", command: [sleep, infinity] }] }
`;

const fault = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: echo, namespace: quiet }
spec:
  hosts: [echo]
  http:
    - fault: { abort: { percentage: { value: 100 }, httpStatus: 503 } }
      route: [{ destination: { host: echo } }]
`;

const isolated = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: nobody-calls-echo, namespace: quiet }
spec: { podSelector: { matchLabels: { app: echo } }, policyTypes: [Ingress] }
`;

const url = "http://echo.quiet/";

describe("live traffic", { skip: skipWithoutRoot }, () => {
  let lab: TestLab;
  before(async () => {
    lab = await startLab();
    await lab.apply(quiet);
    await lab.until("the quiet pods are ready", async () => {
      const { pods } = await lab.status();
      const own = pods.filter(({ namespace }) => namespace === "quiet");
      return own.length === 3 && own.every(({ ready }) => ready);
    });
  });
  after(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  const edge = async (seconds = 10): Promise<GraphEdge | undefined> => {
    const { edges } = await fetchGraph(lab.connection.transport, seconds);
    return edges.find(
      ({ source, destination }) => source === "quiet/client" && destination === "quiet/echo",
    );
  };
  const count = async (): Promise<number> => (await edge(3_600))?.signals.requests ?? 0;
  const service = async (): Promise<ServiceView> => {
    const path = "/heddle/v1/services/quiet/echo?seconds=120";
    return (await lab.connection.transport.send({ method: "GET", path })).body as ServiceView;
  };
  const ask = (...options: string[]) =>
    lab.curl("quiet/client", "-o", "/dev/null", ...options, url);
  /** In force until the scope ends. */
  const applied = async (yaml: string): Promise<AsyncDisposable> => {
    await lab.apply(yaml);
    return { [Symbol.asyncDispose]: () => lab.delete(yaml) };
  };
  const CLI = (...words: string[]) => heddle([...words, "--lab", lab.name], lab.base);

  test("is on the graph soon after its start", async (t) => {
    assert.equal(await edge(), undefined);
    assert.equal((await ask()).code, 0);
    const since = performance.now();
    await lab.until("the edge is there", async () => (await edge()) !== undefined);
    t.diagnostic(`after ${Math.round(performance.now() - since)} ms`); // below 2000 where the machine has time
    const { mtls, versions, health } = present(await edge(), "the edge");
    assert.deepEqual([mtls, versions, health], [true, { v1: 1 }, "healthy"]);
  });

  test("is counted to the request, at both ends", async () => {
    const before = await count();
    const report = await load(lab, "quiet/client", url, "8", "--requests", "500");
    assert.deepEqual(report.statuses, { 200: 500 });
    await lab.until("all are counted", async () => (await count()) >= before + 500);
    await new Promise((resolve) => setTimeout(resolve, 2_500)); // two more reports: nothing is counted twice
    assert.equal(await count(), before + 500);
    const { history, endpoints } = await service();
    const total = history.reduce((sum, { requests = 0 }) => sum + requests, 0);
    assert.equal(total, before + 500);
    assert.equal(endpoints.length, 2);
    const { pods } = await fetchPods(lab.connection.transport, 120);
    const served = pods.filter(({ pod }) => pod.startsWith("quiet/echo"));
    assert.equal(
      served.reduce((sum, { signals }) => sum + (signals.requests ?? 0), 0),
      before + 500,
    );
    for (const { busyShare = 0 } of served) assert.ok(busyShare > 0 && busyShare < 1);
  });

  test("fails where a fault is injected, and says by which rule", async () => {
    await using _ = await applied(fault);
    const report = await load(lab, "quiet/client", url, "2", "--requests", "100");
    assert.deepEqual(report.statuses, { 503: 100 });
    await lab.until("a time is seen in which nothing succeeded", async () =>
      (await service()).history.some(({ successShare }) => successShare === 0),
    );
    assert.ok((present(await edge(120), "the edge").signals.codesPerSecond["503"] ?? 0) > 0);
    const { routes, objects } = await service();
    assert.deepEqual(routes[0]?.policies[0], "aborts 100 % with 503");
    assert.equal(routes[0]?.from, "VirtualService quiet/echo");
    assert.ok(objects.some(({ kind, yaml }) => kind === "VirtualService" && /abort/.test(yaml)));
  });

  test("that a policy refuses is an edge with the policy's name", async () => {
    await using _ = await applied(isolated);
    const pod = present((await lab.pods("echo-"))[0]?.ip, "address of echo");
    // Straight to the pod, where no sidecar holds a connection yet.
    const refused = await lab.curl("outsider", "-m", "2", `http://${pod}:8080/`);
    assert.notEqual(refused.code, 0);
    const found = await lab.until("the drop is reported", async () => {
      const { edges } = await fetchGraph(lab.connection.transport, 10);
      return edges.find(
        ({ source, destination, dropsPerSecond }) =>
          source === "outside/outsider" && destination === "quiet/echo" && dropsPerSecond > 0,
      );
    });
    assert.equal(found.health, "refused");
    assert.match(present(found.dropReason, "a reason"), /quiet\/nobody-calls-echo/);
    const { stdout } = await CLI("top", "edges", "--once");
    assert.match(stdout, /outside\/outsider +quiet\/echo .*refused: .*quiet\/nobody-calls-echo/);
  });

  test("is tapped exactly: a marked client's requests, once at each end", async () => {
    const path = `/${randomUUID()}`;
    const tap = await startTap(lab, "--path", path, "--from", "client", "-o", "json");
    for (let i = 0; i < 5; i++) await lab.curl("quiet/client", `${url.slice(0, -1)}${path}?n=${i}`);
    await lab.curl("visitor", `http://web${path}`); // somebody else's, to the same path
    await ask(); // another path
    const requests = await tap.until((seen) => seen.length >= 10);
    const wanted = Array.from({ length: 5 }, (_, i) => `${path}?n=${i}`);
    for (const reporter of ["source", "destination"]) {
      const seen = requests.filter((each) => each.reporter === reporter);
      assert.deepEqual(seen.map((each) => each.path).sort(), wanted);
      for (const { source, destination, status, method, mtls } of seen) {
        assert.deepEqual(
          [source, destination, status, method, mtls],
          ["quiet/client", "quiet/echo", 200, "GET", true],
        );
      }
    }
    await tap.end();
    assert.equal(tap.requests().length, 10);
  });

  test("has a gap and no false rate when an agent or the server is killed", async () => {
    const running = startLoad(lab, "quiet/client", url, "2", "--seconds", "20");
    await running.ready;
    const known = await count();
    await lab.until("it is counted", async () => (await count()) > known + 20);
    const before = await lab.status();
    for (const { pid } of before.nodes) process.kill(present(pid, "pid of an agent"), "SIGKILL");
    await lab.until("the agents are back", async () => {
      const { nodes } = await lab.status();
      return nodes.every(({ pid }, i) => pid !== undefined && pid !== before.nodes[i]?.pid);
    });
    const atReturn = await count();
    await lab.until("counting goes on", async () => (await count()) > atReturn);
    const { requests } = await running.report;
    await new Promise((resolve) => setTimeout(resolve, 2_500)); // the last reports
    const counted = (await count()) - known;
    assert.ok(counted < requests, `${counted} counted of ${requests}: agents were away`);
    assert.ok(counted > requests / 4, `${counted} counted of ${requests}`);

    process.kill(present(before.server.pid, "pid of the server"), "SIGKILL");
    await lab.until("another server answers", async () => {
      const { transport } = lab.connection;
      return fetchGraph(transport, 10).then(
        () => true,
        () => false,
      );
    });
    const since = await count();
    assert.equal(since, 0, "what the old server knew went with it");
    const { stdout } = await load(lab, "quiet/client", url, "2", "--requests", "40").then(() =>
      CLI("top", "pods", "--once", "-n", "quiet"),
    );
    assert.match(stdout, /quiet\/echo/);
    await lab.until("the new server counts", async () => (await count()) === 40);
  });
});

interface TestTap {
  readonly requests: () => readonly TappedRequest[];
  until(isEnough: (seen: readonly TappedRequest[]) => boolean): Promise<readonly TappedRequest[]>;
  end(): Promise<void>;
}

/** `heddle tap`, once it says that it is on. */
async function startTap(lab: TestLab, ...words: string[]): Promise<TestTap> {
  const entry = join(projectRoot, "src/main.ts");
  const child = spawn(process.execPath, [entry, "tap", ...words, "--lab", lab.name], {
    env: { ...process.env, HEDDLE_LAB_DIR: lab.base },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  let out = "";
  let notes = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    notes += text;
  });
  const requests = (): TappedRequest[] =>
    out
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  await lab.until("the tap is on", async () => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    return notes.includes("tapping on 2 nodes");
  });
  return {
    requests,
    async until(isEnough) {
      return lab.until("requests are tapped", async () => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        return isEnough(requests()) && requests();
      });
    },
    async end() {
      child.kill("SIGINT");
      await ended;
    },
  };
}
