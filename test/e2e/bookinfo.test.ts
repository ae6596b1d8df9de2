/** Istio's published Bookinfo manifests, unchanged, with routes that change while it runs. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { present } from "../../src/base/error.ts";
import { underlayNetns } from "../../src/lab/names.ts";
import { isBinomial } from "../binomial.ts";
import { projectRoot, skipWithoutRoot, startLab, type TestLab } from "../lab.ts";
import { capture } from "./capture.ts";
import { countBy, load, startLoad } from "./load-report.ts";

const samples = join(projectRoot, "../shared/samples/bookinfo");
const sample = (name: string): string => join(samples, `${name}.yaml`);
const skip = skipWithoutRoot || (existsSync(samples) ? false : "samples/bookinfo is absent");

const reviews = "http://reviews:9080/reviews/0";

describe("Bookinfo as published", { skip }, () => {
  let lab: TestLab;
  before(async () => {
    const files = ["bookinfo", "destination-rule-all", "virtual-service-all-v1"].map(sample);
    lab = await startLab({ files });
  });
  after(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  test("runs its six pods on both hosts, each with a sidecar", async () => {
    const { pods } = await lab.status();
    assert.equal(pods.length, 6);
    assert.ok(pods.every(({ ready, sidecar }) => ready && sidecar !== undefined));
    assert.equal(new Set(pods.map(({ node }) => node)).size, 2);
  });

  test("shows the product page, and sends everybody to reviews v1", async () => {
    const page = await lab.request("productpage-v1", "http://productpage:9080/productpage");
    assert.equal(page.status, 200);
    assert.match(page.body, /William Shakespeare/);
    const report = await load(lab, "productpage-v1", reviews, "4", "--requests", "100");
    assert.deepEqual(Object.fromEntries(countBy(report, "version")), { v1: 100 });
  });

  test("keeps a pod out by NetworkPolicy and refuses by AuthorizationPolicy, each in its own way", async () => {
    await lab.apply(policies);
    const shut = await lab.curl("productpage-v1", "-m", "2", "http://ratings:9080/ratings/0");
    assert.equal(shut.code, 28, "no packet arrives: it times out");
    const open = await lab.request("reviews-v2", "http://ratings:9080/ratings/0");
    assert.equal(open.status, 200, open.body);
    const refused = await lab.request("reviews-v2", "http://details:9080/details/0");
    assert.equal(refused.status, 403);
    const allowed = await lab.request("productpage-v1", "http://details:9080/details/0");
    assert.equal(allowed.status, 200, allowed.body);
    await lab.delete(policies);
  });

  test("lets nobody read along between the hosts", async () => {
    const wire = await capture(underlayNetns(lab.name), "br0", "udp", "port", "4789");
    // Of six pods three are on each host: one of these is on the other than productpage.
    const marker = randomUUID();
    for (const path of [
      "details:9080/details/0",
      "ratings:9080/ratings/0",
      "reviews:9080/reviews/0",
    ]) {
      const { status } = await lab.request(
        "productpage-v1",
        `http://${path}`,
        "-H",
        `x-marker: ${marker}`,
      );
      assert.equal(status, 200, path);
    }
    const bytes = await wire.stop();
    assert.ok(bytes.includes(Buffer.from([0x17, 0x03, 0x03])), "TLS records on the underlay");
    assert.ok(!bytes.includes("Shakespeare"));
    assert.ok(!bytes.includes(marker));
  });

  test("splits 2 000 requests 90/10 from the request after the change, with none failed", async () => {
    const inForce = join(lab.base, "reviews-90-10");
    const running = startLoad(lab, "productpage-v1", reviews, "4", "--until", inForce);
    await running.ready;
    await lab.applyFiles(sample("virtual-service-reviews-90-10"));
    writeFileSync(inForce, "");
    assert.deepEqual((await running.report).failures, []);

    const report = await load(lab, "productpage-v1", reviews, "8", "--requests", "2000");
    assert.deepEqual(report.statuses, { 200: 2000 });
    const v2 = countBy(report, "version").get("v2") ?? 0;
    assert.ok(isBinomial(v2, 2000, 0.1), `${v2} of 2000 to v2`);
  });

  test("sends jason, and only jason, to v2 by his header", async () => {
    await lab.applyFiles(sample("virtual-service-reviews-test-v2"));
    for (const [user, version] of [
      ["jason", "v2"],
      ["martha", "v1"],
    ] as const) {
      for (let i = 0; i < 5; i++) {
        const { body } = await lab.request("productpage-v1", reviews, "-H", `end-user: ${user}`);
        assert.equal(JSON.parse(body).version, version, user);
      }
    }
    const page = await lab.request(
      "productpage-v1",
      "http://productpage:9080/productpage",
      "-H",
      "end-user: jason",
    );
    assert.match(page.body, /black/, "the header travels through productpage");
  });

  test("knows both ends of a request by their certificates", async () => {
    const { body } = await lab.request("details-v1", "http://127.0.0.1:15000/stats/prometheus");
    const line = present(
      body.split("\n").find((text) => /^istio_requests_total.*productpage/.test(text)),
      "a count of productpage's requests at details",
    );
    assert.match(line, /connection_security_policy="mutual_tls"/);
    assert.match(line, /source_principal="[^"]*\/sa\/bookinfo-productpage"/);
    assert.match(line, /destination_principal="[^"]*\/sa\/bookinfo-details"/);
  });

  test("moves every request that begins when a route change is said to be in force", async (t) => {
    const inForce = join(lab.base, "reviews-v3");
    const running = startLoad(lab, "productpage-v1", reviews, "4", "--until", inForce);
    await running.ready;
    const changedAt = Date.now();
    await lab.applyFiles(sample("virtual-service-reviews-v3"));
    const inForceAt = Date.now();
    writeFileSync(inForce, "");
    const report = await running.report;
    assert.deepEqual(report.failures, []);
    const old = report.answers.filter(({ version }) => version !== "v3").map(({ at }) => at);
    const lastMs = Math.max(0, ...old.map((at) => at - changedAt));
    t.diagnostic(`the last other request began ${lastMs} ms after`); // below 200 where the machine has time
    assert.ok(changedAt + lastMs <= inForceAt, `${lastMs} ms, said after ${inForceAt - changedAt}`);
  });

  test("balances the Service address in the kernel for a pod without a sidecar", async () => {
    await lab.apply(plainClient);
    await lab.until("the client is ready", async () => (await lab.pods("plain-client"))[0]?.ready);
    const report = await load(lab, "plain-client", reviews, "4", "--requests", "300", "--fresh");
    assert.deepEqual(report.statuses, { 200: 300 });
    const counts = countBy(report, "version");
    for (const version of ["v1", "v2", "v3"]) {
      assert.ok(
        isBinomial(counts.get(version) ?? 0, 300, 1 / 3),
        `${counts.get(version)} ${version}`,
      );
    }
  });

  test("loses no more than what was in flight to a deleted pod of three", async () => {
    await lab.connection.client.delete("VirtualService", "default", "reviews");
    const running = startLoad(lab, "productpage-v1", reviews, "4", "--seconds", "4");
    await running.ready;
    const victim = present((await lab.pods("reviews-v1"))[0], "pod of reviews v1");
    await lab.connection.client.delete("Pod", "default", victim.name);
    const { failures } = await running.report;
    assert.ok(failures.length <= 4, JSON.stringify(failures.slice(0, 4)));
  });

  test("replaces a deleted pod", async () => {
    const victim = present((await lab.pods("details-v1"))[0], "pod of details");
    await lab.connection.client.delete("Pod", "default", victim.name);
    await lab.until("details replaced", async () => {
      const now = await lab.pods("details-v1");
      return now.length === 1 && now[0]?.ready === true && now[0].name !== victim.name;
    });
    const { status } = await lab.request("productpage-v1", "http://details:9080/details/0");
    assert.equal(status, 200);
  });
});

const plainClient = `
apiVersion: v1
kind: Pod
metadata: { name: plain-client, labels: { sidecar.istio.io/inject: "false" } }
spec:
  terminationGracePeriodSeconds: 1
  containers: [{ name: client, image: "curlimages/curl:8.16.0", command: [sleep, infinity] }]
`;

const policies = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: ratings-for-reviews }
spec:
  podSelector: { matchLabels: { app: ratings } }
  policyTypes: [Ingress]
  ingress:
    - from: [{ podSelector: { matchLabels: { app: reviews } } }]
      ports: [{ port: 9080 }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: details-for-productpage }
spec:
  selector: { matchLabels: { app: details } }
  rules:
    - from: [{ source: { principals: [cluster.local/ns/default/sa/bookinfo-productpage] } }]
`;
