/**
 * A pod's namespace with the real capture rules and a sidecar process in it, and one outside that is joined to it: for tests
 * of the process as the agent starts it.
 */

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener, request } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Duplex } from "node:stream";
import { sidecarNodeOptions } from "../../src/agent/sidecars/node-options.ts";
import { compilePodCapture } from "../../src/core/dataplane/pod-capture.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import { ports, proxyUid } from "../../src/model/names.ts";
import type { FilterChain, ProxyConfig } from "../../src/model/proxy-config.ts";
import { renderRuleset } from "../../src/model/ruleset-text.ts";
import type { ProxyLimits } from "../../src/proxy/environment.ts";
import { cluster, labels, node, passthrough, virtual } from "../../src/proxy/testing/mesh.ts";
import type { Scratch } from "./kernel-scratch.ts";

export const podAddress = "10.77.0.2";
export const outsideAddress = "10.77.0.1";

/** The two namespaces; what is captured in the pod waits for a sidecar. */
export function podAndOutside(scratch: Scratch): {
  readonly pod: string;
  readonly outside: string;
} {
  const [pod, outside] = [scratch.netns(), scratch.netns()];
  joinByVeth(pod, outside);
  inNetns(pod, () =>
    execFileSync("nft", ["-f", "-"], { input: renderRuleset(compilePodCapture()) }),
  );
  return { pod, outside };
}

/** Everything that is captured goes where it was going; what comes in by HTTP on 8080 is counted as such. */
export function config(): ProxyConfig {
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

export interface StartOptions {
  /** The process that it takes over from. */
  readonly predecessor?: number | undefined;
  readonly limits?: Partial<ProxyLimits>;
}

/** Resolves once the sidecar says that it is ready; throws what it says otherwise. */
export async function startSidecar(
  scratch: Scratch,
  folder: string,
  netns: string,
  adminSocket: string,
  { predecessor, limits = {} }: StartOptions = {},
): Promise<ChildProcess> {
  const file = join(folder, "snapshot.json");
  chmodSync(folder, 0o711); // the sidecar reads it again as another user
  writeFileSync(file, JSON.stringify({ version: "7", config: config(), secrets: [] }));
  const script = join(import.meta.dirname, "proxy-process.ts");
  const child = spawn(
    process.execPath,
    [...sidecarNodeOptions, script, file, JSON.stringify(limits)],
    {
      stdio: ["ignore", "inherit", "pipe", "pipe"],
    },
  );
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
export async function startLoad(
  netns: string,
  url: string,
  seconds: number,
  connections = 16,
): Promise<string> {
  // wrk calls an answer that takes two seconds an error; on a busy machine it is only slow.
  const words = ["-t1", `-c${connections}`, `-d${seconds}s`, "--latency", "--timeout", "20s", url];
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
export async function serve(
  scratch: Scratch,
  netns: string,
  port: number,
  answer: string | RequestListener,
): Promise<void> {
  const server = createServer(
    typeof answer === "string" ? (_, response) => response.end(answer) : answer,
  );
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
export async function curl(netns: string, url: string): Promise<string> {
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

export function overSocket(socketPath: string, path: string): Promise<string> {
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
