/** A sidecar in a namespace, behind the real capture rules: what the kernel hands it goes where it wanted to go. */

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Duplex } from "node:stream";
import { describe, test } from "node:test";
import { compilePodCapture } from "../../src/core/dataplane/pod-capture.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import { ports, proxyUid } from "../../src/model/names.ts";
import type { FilterChain, ProxyConfig } from "../../src/model/proxy-config.ts";
import { renderRuleset } from "../../src/model/ruleset-text.ts";
import { cluster, labels, node, passthrough, virtual } from "../../src/proxy/testing/mesh.ts";
import { needsRoot, Scratch } from "./kernel-scratch.ts";

const podAddress = "10.77.0.2";
const outsideAddress = "10.77.0.1";

describe("a sidecar in a pod's namespace", { skip: needsRoot }, () => {
  test("takes what is captured both ways to where it was going, as its own user, and ends when told", async () => {
    using scratch = new Scratch();
    const folder = mkdtempSync(join(tmpdir(), "heddle-test-proxy-"));
    scratch.defer(() => rmSync(folder, { recursive: true, force: true }));
    const [pod, outside] = [scratch.netns(), scratch.netns()];
    joinByVeth(pod, outside);
    inNetns(pod, () =>
      execFileSync("nft", ["-f", "-"], { input: renderRuleset(compilePodCapture()) }),
    );
    await serve(scratch, pod, 8080, "application");
    await serve(scratch, outside, 80, "outside");

    const adminSocket = join(folder, "admin.sock");
    const proxy = await startSidecar(scratch, folder, pod, adminSocket);
    const uids = /^Uid:\s+(\d+)\s+(\d+)/m.exec(readFileSync(`/proc/${proxy.pid}/status`, "utf8"));
    assert.deepEqual(uids?.slice(1), [String(proxyUid), String(proxyUid)]);

    assert.equal(await curl(pod, `http://${outsideAddress}/`), "outside");
    assert.equal(await curl(outside, `http://${podAddress}:8080/`), "application");
    assert.equal(
      await curl(outside, `http://${podAddress}:${ports.readiness}/healthz/ready`),
      "LIVE\n",
    );
    const stats = await curl(outside, `http://${podAddress}:${ports.metrics}/stats/prometheus`);
    assert.match(stats, /istio_requests_total\{reporter="destination"[^}]*response_code="200"/);
    assert.match(stats, /istio_tcp_connections_opened_total\{reporter="source"/);

    const dump = await overSocket(adminSocket, "/config_dump");
    assert.equal(JSON.parse(dump).version, "7");
    assert.match(await overSocket(adminSocket, "/listeners"), /virtualInbound::0\.0\.0\.0:15006/);
    assert.equal(await overSocket(adminSocket, "/ready"), "LIVE\n");

    proxy.kill("SIGTERM");
    const [code] = await once(proxy, "exit");
    assert.equal(code, 0);
  });

  test("is taken over by another while it serves, and no connection is refused or broken", async () => {
    using scratch = new Scratch();
    const folder = mkdtempSync(join(tmpdir(), "heddle-test-proxy-"));
    scratch.defer(() => rmSync(folder, { recursive: true, force: true }));
    const [pod, outside] = [scratch.netns(), scratch.netns()];
    joinByVeth(pod, outside);
    inNetns(pod, () =>
      execFileSync("nft", ["-f", "-"], { input: renderRuleset(compilePodCapture()) }),
    );
    await serve(scratch, pod, 8080, "application");
    await serve(scratch, outside, 80, "outside");
    chownSync(folder, proxyUid, proxyUid); // as the agent does
    const adminSocket = join(folder, "admin.sock");
    const first = await startSidecar(scratch, folder, pod, adminSocket);
    const script = `exec 3<>/dev/tcp/${outsideAddress}/80; cat <&3 & exec cat >&3`;
    const tunnel = inNetns(pod, () =>
      spawn("bash", ["-c", script], { stdio: "pipe", detached: true }),
    );
    const closeTunnel = () => {
      if (tunnel.exitCode === null) process.kill(-(tunnel.pid ?? 0), "SIGKILL");
    };
    scratch.defer(closeTunnel);
    const asked = async () => {
      tunnel.stdin.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      const [bytes] = (await once(tunnel.stdout, "data")) as [Buffer];
      return bytes.toString().split("\r\n")[0];
    };
    assert.equal(await asked(), "HTTP/1.1 200 OK");

    const load = startLoad(outside, `http://${podAddress}:8080/`, 4);
    let before: ChildProcess = first;
    for (let i = 0; i < 2; i++) {
      const next = await startSidecar(scratch, folder, pod, adminSocket, before.pid);
      before.kill("SIGUSR2");
      before = next;
    }
    assert.match(await load, /requests in/);
    assert.doesNotMatch(await load, /Socket errors|Non-2xx/);
    assert.equal(
      await asked(),
      "HTTP/1.1 200 OK",
      "a tunnel goes on in the process that it began in",
    );
    assert.equal(first.exitCode, null);
    closeTunnel();
    await once(first, "exit");
    assert.equal(await overSocket(adminSocket, "/ready"), "LIVE\n");
    assert.equal(
      await curl(outside, `http://${podAddress}:${ports.readiness}/healthz/ready`),
      "LIVE\n",
    );
  });

  test("that cannot be what it is told to be says why", async () => {
    using scratch = new Scratch();
    const folder = mkdtempSync(join(tmpdir(), "heddle-test-proxy-"));
    scratch.defer(() => rmSync(folder, { recursive: true, force: true }));
    const adminSocket = join(folder, "admin.sock");
    await assert.rejects(
      startSidecar(scratch, folder, "/run/netns/heddle-test-absent", adminSocket),
      /heddle-test-absent/,
    );
  });
});

function config(): ProxyConfig {
  const inboundChain: FilterChain = {
    name: "inbound",
    match: { destinationPort: 8080, transport: "raw" },
    rbac: [],
    filter: {
      kind: "http",
      statPrefix: "inbound",
      rbac: [],
      routes: {
        kind: "inline",
        config: {
          name: "inbound",
          virtualHosts: [
            {
              name: "inbound",
              domains: ["*"],
              routes: [
                {
                  name: "default",
                  match: { path: { kind: "prefix", value: "/" }, headers: [], queryParameters: [] },
                  action: {
                    kind: "forward",
                    clusters: [{ cluster: "inbound|8080||", weight: 1 }],
                    timeoutMs: 0,
                  },
                },
              ],
            },
          ],
        },
      },
    },
  };
  const outboundChain: FilterChain = {
    name: "passthrough",
    match: {},
    rbac: [],
    filter: {
      kind: "tcp",
      statPrefix: passthrough.name,
      clusters: [{ cluster: passthrough.name, weight: 1 }],
    },
  };
  return {
    listeners: [
      {
        ...virtual("virtualInbound", "inbound", [inboundChain]),
        address: "0.0.0.0",
        port: ports.inbound,
      },
      {
        ...virtual("virtualOutbound", "outbound", [], outboundChain),
        address: "0.0.0.0",
        port: ports.outbound,
      },
    ],
    routes: [],
    clusters: [
      cluster("inbound|8080||", {
        direction: "inbound",
        discovery: { kind: "original-destination" },
      }),
      passthrough,
    ],
    endpoints: [],
  };
}

/** Resolves once the sidecar says that it is ready; throws what it says otherwise. */
async function startSidecar(
  scratch: Scratch,
  folder: string,
  netns: string,
  adminSocket: string,
  predecessor?: number,
): Promise<ChildProcess> {
  const file = join(folder, "snapshot.json");
  chmodSync(folder, 0o711); // the sidecar reads it again as another user
  writeFileSync(file, JSON.stringify({ version: "7", config: config(), secrets: [] }));
  const script = join(import.meta.dirname, "proxy-process.ts");
  const child = spawn(process.execPath, [script, file], {
    stdio: ["ignore", "inherit", "pipe", "pipe"],
  });
  scratch.defer(() => void child.kill("SIGKILL"));
  const channel = child.stdio[3] as Duplex;
  channel.write(
    `${JSON.stringify({
      netns,
      uid: proxyUid,
      predecessor,
      bootstrap: {
        proxy: node(labels("shop", "cart"), podAddress),
        xdsSocket: "",
        adminSocket,
        trustDomain: "cluster.local",
      },
    })}\n`,
  );
  for await (const line of createInterface(channel)) {
    const answer = JSON.parse(line) as { readonly ready?: boolean; readonly error?: string };
    if (answer.ready === true) return child;
    throw new Error(answer.error);
  }
  throw new Error("the sidecar ended without an answer");
}

/** What wrk has to say in the end: keep-alive connections, as many requests as they take. */
async function startLoad(netns: string, url: string, seconds: number): Promise<string> {
  const words = ["-t1", "-c16", `-d${seconds}s`, url];
  const child = inNetns(netns, () => spawn("wrk", words, { stdio: ["ignore", "pipe", "inherit"] }));
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  await once(child, "close");
  return text;
}

function joinByVeth(pod: string, outside: string): void {
  const name = outside.split("/").at(-1) ?? "";
  const ip = (netns: string, words: string) =>
    inNetns(netns, () => execFileSync("ip", words.split(" ")));
  ip(pod, `link add eth0 type veth peer name eth1 netns ${name}`);
  for (const [netns, link, address] of [
    [pod, "eth0", podAddress],
    [outside, "eth1", outsideAddress],
  ] as const) {
    ip(netns, `address add ${address}/24 dev ${link}`);
    ip(netns, `link set ${link} up`);
  }
}

/** An HTTP server in a namespace; a listening socket stays in the namespace that it was made in. */
async function serve(scratch: Scratch, netns: string, port: number, body: string): Promise<void> {
  const server = createServer((_, response) => response.end(body));
  server.keepAliveTimeout = 60_000;
  // Without an address Node asks nobody, and listens before the call returns.
  inNetns(netns, () => server.listen(port));
  if (!server.listening) await once(server, "listening");
  scratch.defer(() => {
    server.close();
    server.closeAllConnections();
  });
}

/** A child stays in the namespace in which it was started. */
async function curl(netns: string, url: string): Promise<string> {
  const words = ["-sS", "--max-time", "5", url];
  const child = inNetns(netns, () =>
    spawn("curl", words, { stdio: ["ignore", "pipe", "inherit"] }),
  );
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  const [code] = await once(child, "close");
  assert.equal(code, 0, `curl ${url}`);
  return text;
}

function overSocket(socketPath: string, path: string): Promise<string> {
  assert(existsSync(socketPath));
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path }, (response) => {
      let text = "";
      response.on("data", (bytes) => {
        text += bytes;
      });
      response.on("end", () => resolve(text));
    });
    sent.on("error", reject);
    sent.end();
  });
}
