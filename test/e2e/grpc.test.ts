/** Istio's published gRPC echo, unchanged: calls between pods, balanced one by one, over mutual TLS. */

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { projectRoot, skipWithoutRoot, startLab, type TestLab } from "../lab.ts";

const samples = join(projectRoot, "../shared/samples/grpc-echo");
const skip = skipWithoutRoot || (existsSync(samples) ? false : "samples/grpc-echo is absent");
const service = "echo.echo-grpc.svc.cluster.local:7070";

describe("Istio's gRPC echo as published", { skip }, () => {
  let lab: TestLab;
  before(async () => {
    // The sample wants its namespace to be there: `kubectl create namespace echo-grpc`.
    const namespace = join(mkdtempSync(join(tmpdir(), "heddle-test-grpc-")), "namespace.yaml");
    writeFileSync(namespace, "apiVersion: v1\nkind: Namespace\nmetadata: { name: echo-grpc }\n");
    lab = await startLab({ files: [namespace, join(samples, "grpc-echo.yaml")] });
    rmSync(dirname(namespace), { recursive: true });
  });
  after(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  async function calls(...words: readonly string[]): Promise<readonly string[]> {
    const client = join(projectRoot, "test/e2e/clients/grpc.ts");
    const result = await lab.exec("echo-v1", process.execPath, client, ...words);
    assert.equal(result.code, 0, result.stderr);
    return JSON.parse(result.stdout) as string[];
  }

  test("spreads the calls of one channel over both versions", async () => {
    const outcomes = await calls(service, "100");
    const of = (version: string) => outcomes.filter((one) => one.startsWith(`${version} `)).length;
    assert.deepEqual(
      outcomes.filter((one) => one.startsWith("failed")),
      [],
    );
    assert(of("v1") > 10 && of("v2") > 10, `v1 ${of("v1")}, v2 ${of("v2")}`);
  });

  test("counts calls as gRPC's, by its status, and over mutual TLS", async () => {
    const [outcome] = await calls(service, "1", "5");
    assert.match(outcome ?? "", /^failed 5 as asked by echo-v/);
    const [pod] = await lab.pods("echo-v1");
    const url = `http://${pod?.ip}:15020/stats/prometheus`;
    const { body } = await lab.request("echo-v1", url);
    const series = body
      .split("\n")
      .filter((line) => line.startsWith("istio_requests_total{") && line.includes('"source"'));
    const has = (...labels: readonly string[]) =>
      series.some((line) => labels.every((label) => line.includes(label)));
    assert(has('request_protocol="grpc"', 'grpc_response_status="0"'), series.join("\n"));
    assert(has('request_protocol="grpc"', 'grpc_response_status="5"', 'response_code="200"'));
  });

  test("answers what a page says in gRPC-Web, made gRPC by the caller's sidecar or by its own", async () => {
    const client = join(projectRoot, "test/e2e/clients/grpc-web.ts");
    const ask = async () => {
      const target = "echo-web.echo-grpc.svc.cluster.local:8070";
      const { code, stdout, stderr } = await lab.exec("echo-v1", process.execPath, client, target);
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout) as Readonly<Record<string, string>>;
    };
    const check = async () => {
      const said = await ask();
      assert.equal(said["type"], "application/grpc-web-text+proto");
      assert.match(said["message"] ?? "", /^v[12] /);
      assert.match(said["trailers"] ?? "", /^grpc-status: 0\r$/m);
    };
    await lab.apply(web);
    await check();
    await lab.apply(plainBeside);
    const plain = await lab.request("echo-v1", "http://plain.echo-grpc:8070/");
    assert.equal(plain.status, 200); // so the caller's sidecar knows of it
    await check();
  });

  test("follows a route, and a policy that refuses is PERMISSION_DENIED", async () => {
    await lab.apply(onlyV2);
    const routed = await calls(service, "20");
    assert.deepEqual(
      routed.filter((one) => !one.startsWith("v2 ")),
      [],
    );
    await lab.apply(denyAll);
    const [refused] = await calls(service, "1");
    assert.equal(refused, "failed 7 RBAC: access denied");
  });
});

const web = `
apiVersion: v1
kind: Service
metadata: { name: echo-web, namespace: echo-grpc }
spec: { selector: { app: echo }, ports: [{ name: grpc-web, port: 8070, targetPort: 17171 }] }
`;

/** Other HTTP at the same port: callers leave gRPC-Web alone now. */
const plainBeside = `
apiVersion: v1
kind: Service
metadata: { name: plain, namespace: echo-grpc }
spec: { selector: { app: echo }, ports: [{ name: http, port: 8070, targetPort: 8080 }] }
`;

const onlyV2 = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: echo, namespace: echo-grpc }
spec:
  host: echo
  subsets:
    - { name: v2, labels: { version: v2 } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: echo, namespace: echo-grpc }
spec:
  hosts: [echo]
  http:
    - route: [{ destination: { host: echo, subset: v2 } }]
`;

const denyAll = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nobody, namespace: echo-grpc }
spec: {}
`;
