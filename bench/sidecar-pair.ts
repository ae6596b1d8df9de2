/**
 * What do two sidecars with mutual TLS cost an HTTP/1.1 request?
 *
 *   wrk → outbound sidecar → (mutual TLS) → inbound sidecar → backend         ours
 *   wrk → HAProxy → (mutual TLS) → HAProxy → backend                          rival, one thread each
 *   wrk → backend                                                             floor
 *
 * 64 keep-alive connections, answers of 1 kB, everything on loopback. The load generator and the backend share one core,
 * both proxies of a pair the other. Runs alternate, so that what else the machine does hits all alike; the medians are
 * compared. CPU is user plus system time of both proxies over the requests of the run; latency is what the client sees,
 * less what it sees on the direct path.
 *
 * Ours routes by host, counts Istio's metrics at both ends, and checks SPIFFE identities; HAProxy is told to do what it can
 * of the same: route by host, set the same headers, verify both certificates, TLS 1.3, reuse connections.
 */

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ProxySnapshot } from "../src/proxy/config/source.ts";
import {
  cluster,
  endpoint,
  forward,
  inbound,
  labels,
  node,
  outbound,
  passthrough,
  route,
  upstreamTls,
  virtualHost,
} from "../src/proxy/testing/mesh.ts";
import { createMeshCa } from "../src/proxy/testing/mesh-ca.ts";
import { cpuMicroseconds, type Pinned, Processes } from "./processes.ts";
import type { BenchResult } from "./result.ts";
import type { SidecarFile } from "./sidecar-process.ts";

const connections = 64;
const endsCore = 0;
const proxiesCore = 1;
const webIdentity = "spiffe://cluster.local/ns/shop/sa/web";
const cartIdentity = "spiffe://cluster.local/ns/shop/sa/cart";
const host = "cart.shop.svc.cluster.local";

export interface SidecarPairOptions {
  /** Measured runs of each path; 3 unless given. */
  readonly runs?: number;
  readonly seconds?: number;
  /** Extra words for the node that runs our sidecars, e.g. `--cpu-prof`. */
  readonly nodeOptions?: readonly string[];
  readonly rivals?: boolean;
}

interface Sample {
  readonly requestsPerSecond: number;
  readonly cpuUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

interface Path {
  readonly name: string;
  readonly port: number;
  /** Whose CPU is counted. */
  readonly counted: readonly Pinned[];
}

export async function run(options: SidecarPairOptions = {}): Promise<BenchResult> {
  const { runs = 3, seconds = 5, rivals = true } = options;
  requireCommands(rivals ? ["wrk", "taskset", "haproxy"] : ["wrk", "taskset"]);
  await using bench = await Bench.start(options.nodeOptions ?? [], rivals);
  for (const path of bench.paths) await measure(path, 2); // warm-up: compilers, pools, TLS sessions
  const samples = new Map<string, Sample[]>(bench.paths.map((path) => [path.name, []]));
  for (let i = 0; i < runs; i++) {
    for (const path of bench.paths) samples.get(path.name)?.push(await measure(path, seconds));
  }
  const median = (name: string, field: keyof Sample) =>
    medianOf((samples.get(name) ?? []).map((sample) => sample[field]));
  const figures = (name: string) => ({
    requestsPerSecond: Math.round(median(name, "requestsPerSecond")),
    cpuUs: round(median(name, "cpuUs")),
    p50Us: Math.round(median(name, "p50Us")),
    p99Us: Math.round(median(name, "p99Us")),
    addedP50Us: Math.round(median(name, "p50Us") - median("direct", "p50Us")),
    addedP99Us: Math.round(median(name, "p99Us") - median("direct", "p99Us")),
    runs: samples.get(name),
  });
  const ours = figures("heddle");
  const direct = figures("direct");
  const rival = rivals ? figures("haproxy") : undefined;
  const ratios = rival && {
    cpu: round(ours.cpuUs / rival.cpuUs),
    addedP50: round(ours.addedP50Us / rival.addedP50Us),
    addedP99: round(ours.addedP99Us / rival.addedP99Us),
  };
  return {
    bench: "sidecar-pair",
    unit: "microseconds of CPU per request (both proxies; floor: the backend on the direct path)",
    ours: ours.cpuUs,
    floor: direct.cpuUs,
    rivals: rival === undefined ? {} : { haproxy: rival.cpuUs },
    ratio: {
      floor: round(ours.cpuUs / direct.cpuUs),
      ...(ratios === undefined
        ? {}
        : { haproxy: Math.max(ratios.cpu, ratios.addedP50, ratios.addedP99) }),
    },
    growth: [],
    details: { aim: 2, ratios, heddle: ours, haproxy: rival, direct },
  };
}

/** The processes of all three paths, up and idle. */
class Bench implements AsyncDisposable {
  readonly paths: readonly Path[];
  readonly #processes: Processes;
  readonly #folder: string;

  private constructor(paths: readonly Path[], processes: Processes, folder: string) {
    this.paths = paths;
    this.#processes = processes;
    this.#folder = folder;
  }

  static async start(nodeOptions: readonly string[], rivals: boolean): Promise<Bench> {
    const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
    const processes = new Processes();
    const ca = await createMeshCa();
    const [web, cart] = [await ca.secrets(webIdentity), await ca.secrets(cartIdentity)];

    const script = (name: string) => join(import.meta.dirname, name);
    const backend = await processes.start(
      "backend",
      endsCore,
      [process.execPath, script("backend-process.ts")],
      true,
    );
    const backendPort = Number(backend.firstLine);

    const sidecar = async (name: string, file: SidecarFile) => {
      const path = join(folder, `${name}.json`);
      writeFileSync(path, JSON.stringify(file), { mode: 0o600 });
      const command = [process.execPath, ...nodeOptions, script("sidecar-process.ts"), path];
      return processes.start(name, proxiesCore, command, true);
    };
    const server = await sidecar("inbound sidecar", {
      node: node(labels("shop", "cart")),
      listener: "virtualInbound",
      destination: { address: "127.0.0.1", port: backendPort },
      snapshot: inboundSnapshot(backendPort, cart),
    });
    const client = await sidecar("outbound sidecar", {
      node: node(labels("shop", "web")),
      listener: "virtualOutbound",
      destination: { address: "10.96.0.1", port: 80 },
      snapshot: outboundSnapshot(Number(server.firstLine), web),
    });
    const paths: Path[] = [
      { name: "direct", port: backendPort, counted: [backend] },
      { name: "heddle", port: Number(client.firstLine), counted: [client, server] },
    ];
    if (rivals) paths.push(await haproxyPair(processes, folder, backendPort, web, cart));
    return new Bench(paths, processes, folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#processes[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

type Secrets = Awaited<ReturnType<Awaited<ReturnType<typeof createMeshCa>>["secrets"]>>;

function outboundSnapshot(port: number, secrets: Secrets): ProxySnapshot {
  const name = `outbound|80||${host}`;
  return {
    version: "1",
    secrets,
    config: {
      ...outbound([virtualHost(["cart", host], [route(forward(name))])]),
      clusters: [
        cluster(name, {
          tls: upstreamTls(cartIdentity),
          service: { namespace: "shop", name: "cart", host, port: 80 },
        }),
        passthrough,
      ],
      endpoints: [
        {
          cluster: name,
          endpoints: [endpoint(port, { tls: true, workload: labels("shop", "cart") })],
        },
      ],
    },
  };
}

function inboundSnapshot(port: number, secrets: Secrets): ProxySnapshot {
  return {
    version: "1",
    secrets,
    config: { ...inbound(port, { isStrict: true }), routes: [], endpoints: [] },
  };
}

async function haproxyPair(
  processes: Processes,
  folder: string,
  backendPort: number,
  web: Secrets,
  cart: Secrets,
): Promise<Path> {
  const [clientPort, serverPort] = [await freePort(), await freePort()];
  const file = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const roots = file("roots.pem", web[1].roots);
  const webPem = file("web.pem", `${web[0].chain}\n${web[0].key}`);
  const cartPem = file("cart.pem", `${cart[0].chain}\n${cart[0].key}`);
  const common = `
global
  nbthread 1
  maxconn 4096
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 60s
  http-reuse always
`;
  const client = file(
    "client.cfg",
    `${common}
frontend in
  bind 127.0.0.1:${clientPort}
  http-request set-header x-request-id %[uuid()]
  http-request set-header x-forwarded-proto http
  use_backend cart if { hdr(host) -i ${host} }
backend cart
  balance leastconn
  server one 127.0.0.1:${serverPort} ssl crt ${webPem} ca-file ${roots} verify required alpn http/1.1
`,
  );
  const server = file(
    "server.cfg",
    `${common}
frontend in
  bind 127.0.0.1:${serverPort} ssl crt ${cartPem} ca-file ${roots} verify required alpn http/1.1
  http-request set-header x-forwarded-client-cert %[ssl_c_s_dn]
  default_backend app
backend app
  server one 127.0.0.1:${backendPort}
`,
  );
  const counted: Pinned[] = [];
  for (const config of [server, client]) {
    const command = ["haproxy", "-db", "-q", "-f", config];
    counted.push(await processes.start("haproxy", proxiesCore, command, false));
  }
  await untilAnswers(clientPort);
  return { name: "haproxy", port: clientPort, counted };
}

async function measure(path: Path, seconds: number): Promise<Sample> {
  const before = cpuOf(path);
  const report = await wrk(path.port, seconds);
  const cpu = cpuOf(path) - before;
  if (report.errors > 0) throw new Error(`${path.name}: ${report.errors} requests failed`);
  return {
    requestsPerSecond: report.requests / seconds,
    cpuUs: cpu / report.requests,
    p50Us: report.p50Us,
    p99Us: report.p99Us,
  };
}

function cpuOf(path: Path): number {
  return path.counted.reduce((sum, { process: { pid } }) => sum + cpuMicroseconds(pid ?? 0), 0);
}

interface WrkReport {
  readonly requests: number;
  readonly errors: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** wrk in one thread; a script of its own reports in numbers. */
async function wrk(port: number, seconds: number): Promise<WrkReport> {
  const script = join(import.meta.dirname, "wrk-report.lua");
  const words = ["-c", String(endsCore), "wrk", "-t1", `-c${connections}`, `-d${seconds}s`];
  const child = spawn(
    "taskset",
    [...words, "-H", `Host: ${host}`, "-s", script, `http://127.0.0.1:${port}/`],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  let text = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (chunk: string) => {
    text += chunk;
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  const line = text.split("\n").find((each) => each.startsWith("{"));
  if (code !== 0 || line === undefined) throw new Error(`wrk ended with ${code}: ${text}`);
  return JSON.parse(line) as WrkReport;
}

async function untilAnswers(port: number): Promise<void> {
  for (let i = 0; i < 100; i++) {
    try {
      await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } });
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error(`nothing answers on port ${port}`);
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? (address?.port ?? 0) : 0));
    });
  });
}

const packages: Readonly<Record<string, string>> = {
  wrk: "wrk",
  haproxy: "haproxy",
  taskset: "util-linux",
};

function requireCommands(commands: readonly string[]): void {
  const missing = commands.filter((command) => {
    try {
      execFileSync("sh", ["-c", `command -v ${command}`], { stdio: "ignore" });
      return false;
    } catch {
      return true;
    }
  });
  if (missing.length === 0) return;
  const wanted = missing.map((command) => packages[command] ?? command).join(" ");
  throw new Error(`bench sidecar-pair: missing Debian packages: ${wanted}`);
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
