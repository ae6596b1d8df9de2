/** What sidecars tell of requests by Istio's Telemetry, in a lab: spans to a collector in the mesh, lines in their logs. */

import assert from "node:assert/strict";
import { glob, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Network } from "../../src/api/heddle/v1.ts";
import { present } from "../../src/base/error.ts";
import { projectRoot, skipWithoutRoot, startLab, type TestLab } from "../lab.ts";

const pod = (name: string, image: string, more = ""): string => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: shop, labels: { app: ${name} } }
spec: { containers: [{ name: main, image: "${image}"${more} }] }
`;
const service = (name: string, port: number, targetPort: number): string => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: ${port}, targetPort: ${targetPort} }] }
`;

const manifests = [
  "apiVersion: v1\nkind: Namespace\nmetadata: { name: shop }\n",
  pod("web", "curlimages/curl:8.16.0", ", command: [sleep, infinity]"),
  pod("cart", "heddle.dev/echo-service:1", ", env: [{ name: SERVICE, value: cart }]"),
  pod("otel", "example.com/span-collector:1"),
  service("cart", 80, 8080),
  service("otel", 4318, 4318),
].join("---");

const telemetry = (provider: string): string => `
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: default, namespace: shop }
spec:
  accessLogging: [{ match: { mode: SERVER } }]
  tracing: [{ providers: [{ name: ${provider} }], randomSamplingPercentage: 100 }]
`;

const extensionProviders = [
  {
    name: "otel",
    opentelemetry: { service: "otel.shop.svc.cluster.local", port: 4318, http: {} },
  },
];

interface ToldSpan {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly kind: number;
  readonly name: string;
}

const trace = "0af7651916cd43dd8448eb211c80319c";
const parent = "b7ad6b7169203331";

describe("a request in a namespace with a Telemetry", {
  skip: skipWithoutRoot,
  timeout: 180_000,
}, () => {
  let lab: TestLab;

  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), "heddle-telemetry-"));
    try {
      const file = join(folder, "shop.yaml");
      await writeFile(file, manifests);
      const collector = join(projectRoot, "test/e2e/clients/span-collector.ts");
      const command = JSON.stringify([process.execPath, collector]);
      const images = `images: [{ match: "example.com/span-collector:*", command: ${command} }]`;
      lab = await startLab({ files: [file], images });
    } finally {
      await rm(folder, { recursive: true });
    }
    const network = present(
      await lab.connection.client.get<Network>("Network", "", "default"),
      "the lab's network",
    );
    await lab.apply(JSON.stringify({ ...network, spec: { ...network.spec, extensionProviders } }));
    await lab.apply(telemetry("otel"));
  });
  after(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  test("is a span in either sidecar, the one below the other, and a line in the log of who took it", async () => {
    const { status } = await lab.request(
      "web",
      "http://cart/telemetry",
      "-H",
      `traceparent: 00-${trace}-${parent}-01`,
    );
    assert.equal(status, 200);
    const spans = await lab.until("both spans are told", async () => {
      const { stdout } = await lab.exec("otel", "curl", "-s", "http://127.0.0.1:4318/spans");
      const told = (JSON.parse(stdout) as ToldSpan[]).filter(({ traceId }) => traceId === trace);
      return told.length >= 2 && told;
    });
    const client = spans.find(({ kind }) => kind === 3);
    const server = spans.find(({ kind }) => kind === 2);
    assert.deepEqual(
      [client?.service, client?.parentSpanId, server?.service, server?.parentSpanId],
      ["web.shop", parent, "cart.shop", client?.spanId],
    );
    assert.equal(client?.name, "cart.shop.svc.cluster.local:80/*");
    const line = await lab.until("the line is written", async () => {
      for await (const log of glob(join(lab.base, lab.name, "n*/run/pods/*/proxy.log"))) {
        const lines = (await readFile(log, "utf8")).split("\n");
        const found = lines.find((text) => text.includes('"path":"/telemetry"'));
        if (found !== undefined) return JSON.parse(found) as Readonly<Record<string, unknown>>;
      }
      return undefined;
    });
    assert.deepEqual(
      [line["trace_id"], line["response_code"], line["downstream_peer"]],
      [trace, 200, "cluster.local/ns/shop/sa/default"],
    );
  });

  test("tells nobody of how its span was told", async () => {
    const { stdout } = await lab.exec("otel", "curl", "-s", "http://127.0.0.1:4318/spans");
    const names = (JSON.parse(stdout) as ToldSpan[]).map(({ name }) => name);
    assert.deepEqual(
      names.filter((name) => name.includes("otel")),
      [],
    );
  });

  test("goes on as before where the provider is nobody", async () => {
    await lab.apply(telemetry("nobody"));
    const answer = await lab.request("web", "http://cart/");
    assert.equal(answer.status, 200);
  });
});
