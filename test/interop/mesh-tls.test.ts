/** The TLS that sidecars speak to each other, with the `openssl` command at the other end. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Harness, request } from "../../src/proxy/testing/harness.ts";
import {
  cluster,
  endpoint,
  forward,
  inbound,
  labels,
  outbound,
  passthrough,
  route,
  upstreamTls,
  virtualHost,
} from "../../src/proxy/testing/mesh.ts";
import { createMeshCa, type MeshCa } from "../../src/proxy/testing/mesh-ca.ts";

const identity = (name: string) => `spiffe://cluster.local/ns/shop/sa/${name}`;

/** PEM files of one identity, in a folder that goes with the test. */
async function filesOf(harness: Harness, ca: MeshCa, name: string): Promise<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), "heddle-mesh-tls-"));
  harness.atEnd(() => rmSync(folder, { recursive: true, force: true }));
  const [own, { roots }] = await ca.secrets(identity(name));
  const file = (as: string, text: string) => {
    writeFileSync(join(folder, as), text, { mode: 0o600 });
    return join(folder, as);
  };
  const [cert, key, trusted] = [
    file("cert.pem", own.chain),
    file("key.pem", own.key),
    file("roots.pem", roots),
  ];
  return ["-cert", cert, "-key", key, "-CAfile", trusted, "-verify_return_error"];
}

class Program {
  readonly process: ChildProcess;
  #text = "";
  #onNews: () => void = () => {};

  constructor(harness: Harness, words: readonly string[]) {
    this.process = spawn("openssl", words, { stdio: ["pipe", "pipe", "pipe"] });
    const take = (bytes: Buffer) => {
      this.#text += bytes.toString();
      this.#onNews();
    };
    this.process.stdout?.on("data", take);
    this.process.stderr?.on("data", take);
    this.process.once("close", () => this.#onNews());
    harness.atEnd(() => this.process.kill("SIGKILL"));
  }

  say(line: string): void {
    this.process.stdin?.write(`${line}\n`);
  }

  /** Until the program has printed this; throws with what it did print when it ends before, or takes too long. */
  async prints(pattern: RegExp): Promise<RegExpExecArray> {
    const deadline = setTimeout(() => this.process.kill("SIGKILL"), patienceMs);
    for (;;) {
      const found = pattern.exec(this.#text);
      if (found !== null) {
        clearTimeout(deadline);
        return found;
      }
      const { exitCode, signalCode } = this.process;
      if (exitCode !== null || signalCode !== null) {
        throw new Error(`${pattern} is not in: ${this.#text}`);
      }
      await new Promise<void>((resolve) => {
        this.#onNews = resolve;
      });
    }
  }
}

const patienceMs = 8_000;

describe("the openssl command", { timeout: 300_000 }, () => {
  test("as a client changes keys, asks for others, and goes on from a session", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const app = await harness.tcpApp((socket) => {
      socket.on("data", (bytes) => socket.write(bytes.toString().toUpperCase()));
      socket.on("end", () => socket.end());
    });
    const sidecar = await harness.sidecar(
      { workload: labels("shop", "db"), destination: () => ({ address: "127.0.0.1", port: app }) },
      inbound(app, { isTcp: true, isStrict: true }),
      { secrets: await ca.secrets(identity("db")) },
    );
    const to = ["-connect", `127.0.0.1:${sidecar.portOf("virtualInbound")}`, "-alpn", "heddle"];
    const files = await filesOf(harness, ca, "web");
    const session = `${files[1]}.session`;
    const client = new Program(harness, ["s_client", ...to, ...files, "-sess_out", session]);
    await client.prints(/Verify return code: 0 \(ok\)/);
    client.say("first");
    await client.prints(/FIRST/);
    // "k" changes the client's own keys, "K" asks for ours to be changed as well.
    for (const [i, command] of ["k", "k", "K", "K", "K"].entries()) {
      client.say(command);
      await client.prints(new RegExp(`(KEYUPDATE[^]*){${i + 1}}`)); // it reads a command and what comes with it as one
      client.say(`after ${i}`);
      await client.prints(new RegExp(`AFTER ${i}`));
    }
    client.say("Q");
    await new Promise((resolve) => client.process.once("close", resolve));
    const again = new Program(harness, ["s_client", ...to, ...files, "-sess_in", session]);
    await again.prints(/Reused, TLSv1\.3/);
    again.say("second");
    await again.prints(/SECOND/);
    again.say("Q");
  });

  test("as a client without a certificate, or with an older TLS, gets nowhere", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const app = await harness.tcpApp((socket) => socket.write("secret"));
    const sidecar = await harness.sidecar(
      { workload: labels("shop", "db"), destination: () => ({ address: "127.0.0.1", port: app }) },
      inbound(app, { isTcp: true, isStrict: true }),
      { secrets: await ca.secrets(identity("db")) },
    );
    const to = ["-connect", `127.0.0.1:${sidecar.portOf("virtualInbound")}`, "-alpn", "heddle"];
    const files = await filesOf(harness, ca, "web");
    const bare = new Program(harness, ["s_client", ...to]);
    await bare.prints(/alert certificate required|certificate required/);
    const old = new Program(harness, ["s_client", ...to, ...files, "-tls1_2"]);
    await old.prints(/alert protocol version/);
  });

  test("as a server answers requests of ours, each connection after the first by a session", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const files = await filesOf(harness, ca, "cart");
    const words = ["s_server", "-accept", "127.0.0.1:0", "-www", "-Verify", "2"];
    const server = new Program(harness, [...words, ...files]);
    const [, port] = await server.prints(/ACCEPT .*:(\d+)\n/);
    const sidecar = await harness.sidecar(
      { workload: labels("shop", "web"), destination: () => ({ address: "10.96.0.1", port: 80 }) },
      {
        ...outbound([virtualHost(["*"], [route(forward("cart"))])]),
        clusters: [cluster("cart", { tls: upstreamTls(identity("cart")) }), passthrough],
        endpoints: [{ cluster: "cart", endpoints: [endpoint(Number(port), { tls: true })] }],
      },
      { secrets: await ca.secrets(identity("web")) },
    );
    const ask = () => request(sidecar.portOf("virtualOutbound") ?? 0);
    const first = await ask();
    assert.equal(first.status, 200);
    assert.match(first.body, /New, TLSv1\.3/);
    const second = await ask();
    assert.match(second.body, /Reused, TLSv1\.3/);
  });
});
