/** Strangers' HTTP/2 against a sidecar: h2spec's violations, h2load's load, curl. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Harness, metric } from "../../src/proxy/testing/harness.ts";
import { http2App } from "../../src/proxy/testing/http2.ts";
import {
  cluster,
  downstreamTls,
  endpoint,
  forward,
  inbound,
  route,
  virtualHost,
} from "../../src/proxy/testing/mesh.ts";
import { createMeshCa } from "../../src/proxy/testing/mesh-ca.ts";

const h2spec = join(import.meta.dirname, "../../build/tools/h2spec");

describe("a sidecar's listener", () => {
  test(
    "behind TLS passes all of h2spec, strictly, in front of HTTP/2",
    needs(h2spec),
    async (t) => {
      await using harness = new Harness();
      const app = await http2App(harness, (stream) => {
        stream.resume();
        stream.on("end", () => {
          if (stream.destroyed) return;
          stream.respond({});
          stream.end("an answer");
        });
      });
      const report = await specify(await tlsPort(harness, app.port), "-t", "-k");
      assert.deepEqual(report.failures, [], report.text);
      assert.deepEqual([report.all, report.passed], [146, 146]);
      t.diagnostic(`${report.passed} of ${report.all} cases passed`);
    },
  );

  test(
    "in the clear passes all of h2spec that is not about HTTP/1.1, in front of it",
    needs(h2spec),
    async (t) => {
      await using harness = new Harness();
      const app = await harness.app((incoming, response) => {
        incoming.resume();
        incoming.on("end", () => response.end("an answer"));
      });
      const report = await specify(await sidecarPort(harness, app, undefined));
      // A listener that speaks both takes what does not begin as HTTP/2 for HTTP/1.1, and answers it so.
      assert.deepEqual(report.failures, ["Sends invalid connection preface"], report.text);
      assert.deepEqual([report.all, report.passed], [146, 145]);
      t.diagnostic(
        `${report.passed} of ${report.all} cases passed, 1 left out: an HTTP/1.1 answer`,
      );
    },
  );

  test(
    "serves h2load: five thousand requests on four connections, none lost",
    needs("h2load"),
    async () => {
      await using harness = new Harness();
      const app = await http2App(harness, (stream) => {
        stream.respond({ "content-type": "text/plain" });
        stream.end("x".repeat(100));
      });
      const made = await harness.outbound([virtualHost(["*"], [route(forward("app"))])], {
        clusters: [cluster("app", { protocol: "http/2" })],
        endpoints: [{ cluster: "app", endpoints: [endpoint(app.port)] }],
      });
      const { text } = await run("h2load", [
        ...["-n", "5000", "-c", "4", "-m", "32"],
        `http://127.0.0.1:${made.port}/`,
      ]);
      assert.match(text, /5000 total, 5000 started, 5000 done, 5000 succeeded, 0 failed/);
      assert.equal(metric(made.sidecar, "istio_requests_total", { response_code: "200" }), 5_000);
    },
  );

  test("serves curl with prior knowledge of HTTP/2, a body each way", needs("curl"), async () => {
    await using harness = new Harness();
    const app = await harness.app((incoming, response) => incoming.pipe(response));
    const port = await sidecarPort(harness, app, undefined);
    const { text } = await run("curl", [
      ...["-sS", "--http2-prior-knowledge", "-w", " %{http_version} %{http_code}"],
      ...["-d", "hello", `http://127.0.0.1:${port}/`],
    ]);
    assert.equal(text, "hello 2 200");
  });
});

interface SpecReport {
  readonly text: string;
  readonly all: number;
  readonly passed: number;
  readonly failures: readonly string[];
}

async function specify(port: number, ...more: readonly string[]): Promise<SpecReport> {
  const words = ["-h", "127.0.0.1", "-p", String(port), "--strict", "-o", "5", ...more];
  const { text } = await run(h2spec, words);
  const [, all, passed] = /(\d+) tests, (\d+) passed/.exec(text) ?? [];
  const failures = [...text.slice(text.indexOf("Failures:")).matchAll(/× \d+: (.*)/g)];
  const names = failures.map(([, name]) => name ?? "");
  return { text, all: Number(all), passed: Number(passed), failures: [...new Set(names)] };
}

/** A sidecar that terminates TLS as a gateway does, without asking who the client is. */
async function tlsPort(harness: Harness, app: number): Promise<number> {
  const ca = await createMeshCa();
  const config = inbound(app, { isStrict: true, protocol: "http/2" });
  const open = config.listeners.map((listener) => ({
    ...listener,
    filterChains: listener.filterChains.map((chain) => ({
      ...chain,
      tls: { ...downstreamTls, requireClientCertificate: false },
    })),
  }));
  const sidecar = await harness.sidecar(
    { destination: () => ({ address: "127.0.0.1", port: app }) },
    { ...config, listeners: open },
    { secrets: await ca.secrets("spiffe://cluster.local/ns/shop/sa/cart") },
  );
  return sidecar.portOf("virtualInbound") ?? 0;
}

async function sidecarPort(
  harness: Harness,
  app: number,
  protocol: "http/2" | undefined,
): Promise<number> {
  const { port } = await harness.outbound([virtualHost(["*"], [route(forward("app"))])], {
    clusters: [cluster("app", protocol === undefined ? {} : { protocol })],
    endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
  });
  return port;
}

function run(
  command: string,
  words: readonly string[],
): Promise<{ readonly text: string; readonly code: number | null }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, words, { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (chunk: string) => {
      text += chunk;
    });
    child.once("error", reject);
    child.once("exit", (code) => resolve({ text, code }));
  });
}

/** As root everything is set up; without, what is missing may be (scripts/setup.sh says so). */
function needs(command: string): { readonly skip: string | false } {
  const folders = command.includes("/") ? [""] : (process.env["PATH"] ?? "").split(":");
  const isThere = folders.some((folder) => existsSync(join(folder, command)));
  return { skip: isThere || process.getuid?.() === 0 ? false : `${command} is not installed` };
}
