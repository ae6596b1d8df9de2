/** What is asked of a sidecar at its admin port, and where it is scraped. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import type { AddressInfo } from "node:net";
import { duplexPair } from "node:stream";
import { describe, test } from "node:test";
import { adminServer, metricsServer } from "../observe/admin.ts";
import { noLegacy } from "../succession.ts";
import { Harness } from "../testing/harness.ts";
import { createMeshCa } from "../testing/mesh-ca.ts";

/** What the admin port of a sidecar with these secrets answers: `METHOD /path` → status and text. */
async function desk(
  harness: Harness,
): Promise<(asked: string) => Promise<{ readonly status: number; readonly text: string }>> {
  const ca = await createMeshCa();
  const broken = {
    kind: "certificate",
    name: "kubernetes://edge/bad",
    chain: "x",
    key: "y",
  } as const;
  const [own, trust] = await ca.secrets("spiffe://cluster.local/ns/shop/sa/web");
  const sidecar = await harness.sidecar(
    { destination: () => undefined },
    { secrets: [broken] },
    { secrets: [own, trust] },
  );
  const log = { least: "info" as const };
  const server = adminServer(sidecar, { drain() {}, legacy: () => noLegacy, log });
  await once(server.listen(0, "127.0.0.1"), "listening");
  harness.atEnd(() => server.close());
  const { port } = server.address() as AddressInfo;
  return (asked) =>
    new Promise((resolve, reject) => {
      const [method, path] = asked.split(" ");
      const sent = request({ port, method, path, agent: false }, (response) => {
        let text = "";
        response.on("data", (bytes) => {
          text += bytes;
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      });
      sent.on("error", reject);
      sent.end();
    });
}

describe("a sidecar's admin port", () => {
  test("tells its certificates, whom they name and which are broken, and never a key", async () => {
    await using harness = new Harness();
    const ask = await desk(harness);
    const { text } = await ask("GET /certs");
    const { certificates } = JSON.parse(text) as {
      readonly certificates: readonly {
        readonly problem?: string;
        readonly cert_chain?: readonly { readonly subject_alt_names: unknown }[];
        readonly ca_cert?: readonly { readonly days_until_expiration: string }[];
      }[];
    };
    const [own, trust, broken] = certificates;
    assert.deepEqual(own?.cert_chain?.[0]?.subject_alt_names, [
      { uri: "spiffe://cluster.local/ns/shop/sa/web" },
    ]);
    assert.match(trust?.ca_cert?.[0]?.days_until_expiration ?? "", /^[1-9]\d*$/);
    assert.match(broken?.problem ?? "", /./);
    const dump = (await ask("GET /config_dump")).text;
    for (const answer of [text, dump]) assert.doesNotMatch(answer, /PRIVATE KEY|"y"|"eQ=="/);
  });

  test("tells what is in force in Envoy's forms, which tools read", async () => {
    await using harness = new Harness();
    const ask = await desk(harness);
    const of = async (path: string) => JSON.parse((await ask(`GET ${path}`)).text);
    const kinds = async (path: string) =>
      (await of(path)).configs.map((one: Record<string, string>) =>
        one["@type"]?.split(".").at(-1),
      );
    const without = ["Bootstrap", "Clusters", "Listeners", "Routes", "Secrets"];
    const dumps = (names: readonly string[]) => names.map((name) => `${name}ConfigDump`);
    assert.deepEqual(await kinds("/config_dump"), dumps(without));
    assert.deepEqual(
      await kinds("/config_dump?include_eds"),
      dumps(without.toSpliced(2, 0, "Endpoints")),
    );
    assert.ok(Array.isArray((await of("/clusters?format=json")).cluster_statuses));
    assert.ok(Array.isArray((await of("/listeners?format=json")).listener_statuses));
  });

  test("changes the level of its log, to one that there is, when it is posted", async () => {
    await using harness = new Harness();
    const ask = await desk(harness);
    assert.equal((await ask("GET /logging")).text, "info\n");
    assert.equal((await ask("GET /logging?level=debug")).status, 405);
    assert.equal((await ask("POST /logging?level=loud")).status, 400);
    assert.equal((await ask("POST /logging?level=debug")).text, "debug\n");
    assert.equal((await ask("GET /logging")).text, "debug\n");
  });

  test("tells its state, and each series on a line", async () => {
    await using harness = new Harness();
    const ask = await desk(harness);
    assert.equal(JSON.parse((await ask("GET /server_info")).text).state, "LIVE");
    const { text } = await ask("GET /stats");
    for (const line of text.trim().split("\n")) assert.match(line, /^\S.*: \S+$/);
  });

  test("tells the series that a filter fits, as text, as JSON or for Prometheus", async () => {
    await using harness = new Harness();
    const ask = await desk(harness);
    const name = "envoy_listener_downstream_cx_active";
    assert.equal((await ask(`GET /stats?filter=^${name}$`)).text, `${name}: 0\n`);
    const { text } = await ask(`GET /stats?format=json&filter=${name}`);
    assert.deepEqual(JSON.parse(text), { stats: [{ name, value: 0 }] });
    assert.match((await ask("GET /stats?format=prometheus")).text, /^# HELP /);
    assert.equal((await ask("GET /stats?format=html")).status, 400);
    assert.equal((await ask("GET /stats?filter=(")).status, 400);
  });

  test("does not hang on a filter that takes for ever", { timeout: 300_000 }, async () => {
    await using harness = new Harness();
    const ask = await desk(harness);
    assert.equal((await ask("GET /stats?filter=^(([a-z_])%2B)%2B$X")).status, 400);
    assert.equal((await ask("GET /stats?filter=x")).status, 200);
  });

  test("takes no filter for slow because its process stood still", async () => {
    await using harness = new Harness();
    const ask = await desk(harness);
    const stops = `for i in $(seq 30); do kill -STOP ${process.pid}; sleep 0.12; kill -CONT ${process.pid}; sleep 0.01; done`;
    const stopping = spawn("sh", ["-c", stops], { stdio: "ignore" });
    while (stopping.exitCode === null) {
      const { status, text } = await ask("GET /stats?filter=cx_active");
      assert.equal(status, 200, text);
    }
  });

  test("tells each of its paths, where it is asked for help", async () => {
    await using harness = new Harness();
    const ask = await desk(harness);
    const { text } = await ask("GET /help");
    const paths = [...text.matchAll(/\/[a-z_/]+(?=[,: ])/g)].map(([path]) => path);
    assert.ok(paths.includes("/drain") && paths.includes("/heddle/tap"));
    for (const path of paths) {
      if (path !== "/heddle/tap") assert.notEqual((await ask(`GET ${path}`)).status, 404, path);
    }
    assert.equal((await ask("GET /")).text, text);
  });
});

describe("the port that a sidecar's metrics are scraped at", () => {
  async function metricsPort(harness: Harness) {
    const sidecar = await harness.sidecar({ destination: () => undefined }, {});
    const server = metricsServer(sidecar);
    await once(server.listen(0, "::"), "listening");
    harness.atEnd(() => server.close());
    const { port } = server.address() as AddressInfo;
    return {
      sidecar,
      server,
      ask: async (method: string, path: string, host: string) => {
        const sent = request({ host, port, method, path, agent: false }).end();
        const [response] = await once(sent, "response");
        const text = (await response.toArray()).join("");
        return `${response.statusCode} ${text}`;
      },
    };
  }

  test("lets a Job say that it has done its work, as Istio does, and ends nothing", async () => {
    await using harness = new Harness();
    const { sidecar, ask } = await metricsPort(harness);
    for (const host of ["127.0.0.1", "::1", "127.1.2.3"]) {
      assert.equal(await ask("POST", "/quitquitquit", host), "200 OK", host);
    }
    assert.equal(await ask("GET", "/quitquitquit", "127.0.0.1"), "405 use POST\n");
    assert.equal(sidecar.isReady, true);
  });

  test("hears nobody else's word for it", async () => {
    await using harness = new Harness();
    const { server } = await metricsPort(harness);
    for (const caller of ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::127.0.0.1", "12.7.0.1"]) {
      const [client, accepted] = duplexPair();
      server.emit("connection", Object.assign(accepted, { remoteAddress: caller }));
      client.end("POST /quitquitquit HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
      const said = (await client.setEncoding("latin1").toArray()).join("");
      assert.match(said, /^HTTP\/1.1 403 .*only the pod itself may ask\n/s, caller);
    }
  });

  test("tells whether the sidecar is ready, too", async () => {
    await using harness = new Harness();
    const { sidecar, ask } = await metricsPort(harness);
    assert.equal(await ask("GET", "/healthz/ready", "127.0.0.1"), "200 LIVE\n");
    sidecar.close();
    assert.equal(await ask("GET", "/healthz/ready", "127.0.0.1"), "503 PRE_INITIALIZING\n");
  });
});
