/**
 * Health checks, locality failover, policies, mirrors and rate limits in one namespace, as a user writes them: each holds
 * beside the others.
 */

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { projectRoot, skipWithoutRoot, startLab, type TestLab } from "../lab.ts";

const server = join(projectRoot, "test/e2e/clients/moody-server.ts");

const pod = (name: string, app: string, node: string): string => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: shop, labels: { app: ${app} } }
spec:
  nodeName: ${node}
  containers: [{ name: main, image: "example.com/moody:1", args: ["8080", "8081", "8082"] }]
`;

const manifests = [
  "apiVersion: v1\nkind: Namespace\nmetadata: { name: shop }\n",
  pod("cart-a", "cart", "node-1"),
  pod("cart-b", "cart", "node-2"),
  pod("copy", "copy", "node-2"),
  `
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: shop, labels: { app: web } }
spec: { nodeName: node-1, containers: [{ name: main, image: "curlimages/curl:8.16.0", command: [sleep, infinity] }] }
`,
  `
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { selector: { app: cart }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
`,
  `
apiVersion: v1
kind: Service
metadata: { name: copy, namespace: shop }
spec: { selector: { app: copy }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
`,
  `
apiVersion: v1
kind: Service
metadata:
  name: narrow
  namespace: shop
  annotations: { heddle.dev/local-rate-limit: '{"requests":3,"per":"600s"}' }
spec: { selector: { app: copy }, ports: [{ name: http, port: 80, targetPort: 8081 }] }
`,
  `
apiVersion: v1
kind: Service
metadata:
  name: shared
  namespace: shop
  annotations: { heddle.dev/global-rate-limit: '{"requests":4,"per":"600s"}' }
spec: { selector: { app: cart }, ports: [{ name: http, port: 80, targetPort: 8082 }] }
`,
].join("---");

const rules = `
apiVersion: v1
kind: Node
metadata: { name: node-1, labels: { topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: a } }
---
apiVersion: v1
kind: Node
metadata: { name: node-2, labels: { topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: b } }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: cart
  namespace: shop
  annotations:
    heddle.dev/health-check: '{"httpGet":{"path":"/healthz"},"periodSeconds":1,"failureThreshold":1}'
spec:
  host: cart
  trafficPolicy: { outlierDetection: { consecutive5xxErrors: 5 } }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: shared, namespace: shop }
spec: { host: shared, trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN } } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: cart, namespace: shop }
spec:
  hosts: [cart]
  http:
    - route: [{ destination: { host: cart } }]
      mirror: { host: copy }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: cart, namespace: shop }
spec:
  selector: { matchLabels: { app: cart } }
  rules: [{ to: [{ operation: { paths: ["/"] } }] }]
`;

describe("a service with checks, zones, a policy, a mirror and limits", {
  skip: skipWithoutRoot,
  timeout: 180_000,
}, () => {
  let lab: TestLab;

  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), "heddle-resilience-"));
    try {
      const file = join(folder, "shop.yaml");
      await writeFile(file, manifests);
      const command = JSON.stringify([process.execPath, server]);
      const images = `images: [{ match: "example.com/moody:*", command: ${command} }]`;
      lab = await startLab({ files: [file], images });
    } finally {
      await rm(folder, { recursive: true });
    }
    await lab.apply(rules);
  });
  after(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  /** Which pod, or which status, each of so many requests was answered by. */
  async function ask(host: string, times = 6): Promise<readonly string[]> {
    const url = `http://${host}/?[1-${times}]`;
    const { stdout } = await lab.exec("web", "curl", "-s", "-w", "\n%{http_code}\n", url);
    const lines = stdout.split("\n");
    return lines.flatMap((line, index) => {
      if (!/^\d{3}$/.test(line)) return [];
      return [line === "200" ? (lines.slice(0, index).findLast((one) => one !== "") ?? "") : line];
    });
  }

  const all = (pod_: string, times = 6): readonly string[] => Array<string>(times).fill(pod_);

  /** From inside the pod, where nobody is asked for leave. */
  const mood = (pod_: string, status: number) =>
    lab.exec(pod_, "curl", "-s", "-X", "POST", `http://127.0.0.1:8080/mood?status=${status}`);

  test("is called in the client's zone while it is well there, then in the next, and again", async () => {
    const isAll = (pod_: string) => async () => {
      const seen = await ask("cart");
      assert(
        seen.every((one) => one.startsWith("cart-")),
        `${seen}`,
      ); // none fails on the way
      return seen.every((one) => one === pod_);
    };
    await lab.until("near", isAll("cart-a"));
    await mood("cart-a", 503);
    await lab.until("failed over", isAll("cart-b"));
    await mood("cart-a", 200);
    await lab.until("back", isAll("cart-a"));
  });

  test("is checked past its policy, which keeps clients from what is checked", async () => {
    const { status, body } = await lab.request("web", "http://cart/healthz");
    assert.deepEqual([status, body], [403, "RBAC: access denied"]);
    assert.deepEqual(await ask("cart"), all("cart-a")); // and it is well
  });

  test("is copied to its mirror, request for request", async () => {
    const seen = async () => {
      const { stdout } = await lab.exec("copy", "curl", "-s", "http://127.0.0.1:8080/hosts");
      return (JSON.parse(stdout) as string[]).filter((host) => host === "cart-shadow").length;
    };
    const already = await seen();
    await ask("cart", 10);
    await lab.until("ten copies", async () => (await seen()) >= already + 10);
    assert.equal(await seen(), already + 10);
  });

  test("lets in what its limits say: each pod's own, and that of all pods together", async () => {
    const counted = (answers: readonly string[]) => {
      const limited = answers.filter((one) => one === "429").length;
      return [answers.length - limited, limited];
    };
    assert.deepEqual(counted(await ask("narrow", 8)), [3, 5]);
    assert.deepEqual(counted(await ask("shared", 12)), [4, 8]);
  });
});
