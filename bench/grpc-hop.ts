/**
 * What does one sidecar cost a unary gRPC call, over few connections?
 *
 *   h2load → sidecar → backend        ours
 *   h2load → Envoy → backend          rival, one worker, default statistics
 *   h2load → backend                  floor
 *
 * 8 connections with 16 calls at a time each, messages of 128 bytes both ways, everything in the clear on loopback. The
 * load generator and the backend share one core, the proxy has the other. Runs alternate; medians are compared. CPU is
 * user plus system time of the proxy over the calls of the run.
 */

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  cluster,
  endpoint,
  forward,
  labels,
  node,
  outbound,
  passthrough,
  route,
  virtualHost,
} from "../src/proxy/testing/mesh.ts";
import { cpuMicroseconds, type Pinned, Processes } from "./processes.ts";
import type { BenchResult } from "./result.ts";
import type { SidecarFile } from "./sidecar-process.ts";

const connections = 8;
const streams = 16;
const endsCore = 0;
const proxyCore = 1;
const envoy = join(import.meta.dirname, "../build/envoy/bin/envoy");

export interface GrpcHopOptions {
  readonly runs?: number;
  readonly seconds?: number;
  /** Extra words for the node that runs our sidecar, e.g. `--cpu-prof`. */
  readonly nodeOptions?: readonly string[];
  readonly rivals?: boolean;
}

interface Sample {
  readonly callsPerSecond: number;
  readonly cpuUs: number;
  readonly meanUs: number;
}

interface Path {
  readonly name: string;
  readonly port: number;
  readonly counted: Pinned;
}

export async function run(options: GrpcHopOptions = {}): Promise<BenchResult> {
  const { runs = 5, seconds = 4, rivals = true } = options;
  if (rivals && !existsSync(envoy))
    throw new Error(`${envoy} is missing: run scripts/setup.sh bench`);
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  await using processes = new Processes();
  using _folder = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
  const body = join(folder, "message");
  const message = Buffer.alloc(5 + 128, 120);
  message.writeUInt32BE(128, 1);
  message.writeUInt8(0, 0);
  writeFileSync(body, message);

  const paths = await start(processes, folder, options.nodeOptions ?? [], rivals);
  for (const path of paths) await measure(path, 2, body);
  const samples = new Map<string, Sample[]>(paths.map((path) => [path.name, []]));
  for (let i = 0; i < runs; i++) {
    for (const path of paths) samples.get(path.name)?.push(await measure(path, seconds, body));
  }
  const figures = (name: string) => {
    const all = samples.get(name) ?? [];
    return {
      callsPerSecond: Math.round(medianOf(all.map((one) => one.callsPerSecond))),
      cpuUs: round(medianOf(all.map((one) => one.cpuUs))),
      meanUs: Math.round(medianOf(all.map((one) => one.meanUs))),
      runs: all,
    };
  };
  const [ours, direct] = [figures("heddle"), figures("direct")];
  const rival = rivals ? figures("envoy") : undefined;
  return {
    bench: "grpc-hop",
    unit: "microseconds of the proxy's CPU per unary call (floor: the backend's on the direct path)",
    ours: ours.cpuUs,
    floor: direct.cpuUs,
    rivals: rival === undefined ? {} : { envoy: rival.cpuUs },
    ratio: {
      floor: round(ours.cpuUs / direct.cpuUs),
      ...(rival === undefined ? {} : { envoy: round(ours.cpuUs / rival.cpuUs) }),
    },
    growth: [],
    details: { aim: 0.7, heddle: ours, envoy: rival, direct },
  };
}

async function start(
  processes: Processes,
  folder: string,
  nodeOptions: readonly string[],
  rivals: boolean,
): Promise<readonly Path[]> {
  const script = (name: string) => join(import.meta.dirname, name);
  const backend = await processes.start(
    "backend",
    endsCore,
    [process.execPath, script("grpc-backend-process.ts")],
    true,
  );
  const port = Number(backend.firstLine);
  const file: SidecarFile = {
    node: node(labels("shop", "web")),
    listener: "virtualOutbound",
    destination: { address: "10.96.0.1", port: 80 },
    snapshot: {
      version: "1",
      secrets: [],
      config: {
        ...outbound([virtualHost(["*"], [route(forward("echo"))])]),
        clusters: [
          cluster("echo", {
            protocol: "http/2",
            service: {
              namespace: "shop",
              name: "echo",
              host: "echo.shop.svc.cluster.local",
              port: 80,
            },
          }),
          passthrough,
        ],
        endpoints: [
          { cluster: "echo", endpoints: [endpoint(port, { workload: labels("shop", "echo") })] },
        ],
      },
    },
  };
  const path = join(folder, "sidecar.json");
  writeFileSync(path, JSON.stringify(file));
  const command = [process.execPath, ...nodeOptions, script("sidecar-process.ts"), path];
  const sidecar = await processes.start("sidecar", proxyCore, command, true);
  return [
    { name: "direct", port, counted: backend },
    { name: "heddle", port: Number(sidecar.firstLine), counted: sidecar },
    ...(rivals ? [await startEnvoy(processes, folder, port)] : []),
  ];
}

async function startEnvoy(processes: Processes, folder: string, backend: number): Promise<Path> {
  const port = await freePort();
  const path = join(folder, "envoy.json");
  writeFileSync(path, JSON.stringify(envoyConfig(port, backend)));
  const command = [envoy, "-c", path, "--concurrency", "1", "--log-level", "error"];
  const words = [...command, "--disable-hot-restart"];
  const process = await processes.start("envoy", proxyCore, words, false);
  for (let tries = 0; !(await accepts(port)); tries++) {
    if (tries > 300) throw new Error("Envoy does not listen");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { name: "envoy", port, counted: process };
}

function envoyConfig(port: number, backend: number): unknown {
  const socket = (number: number) => ({
    socket_address: { address: "127.0.0.1", port_value: number },
  });
  const type = (name: string) => `type.googleapis.com/envoy.extensions.${name}`;
  const router = {
    name: "envoy.filters.http.router",
    typed_config: { "@type": type("filters.http.router.v3.Router") },
  };
  const virtualHosts = [
    {
      name: "all",
      domains: ["*"],
      routes: [{ match: { prefix: "/" }, route: { cluster: "echo" } }],
    },
  ];
  const manager = {
    "@type": type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: "in",
    codec_type: "AUTO",
    route_config: { name: "routes", virtual_hosts: virtualHosts },
    http_filters: [router],
  };
  const protocol = {
    "@type": type("upstreams.http.v3.HttpProtocolOptions"),
    explicit_http_config: { http2_protocol_options: {} },
  };
  return {
    static_resources: {
      listeners: [
        {
          name: "in",
          address: socket(port),
          filter_chains: [
            {
              filters: [
                { name: "envoy.filters.network.http_connection_manager", typed_config: manager },
              ],
            },
          ],
        },
      ],
      clusters: [
        {
          name: "echo",
          type: "STATIC",
          typed_extension_protocol_options: {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol,
          },
          load_assignment: {
            cluster_name: "echo",
            endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(backend) } }] }],
          },
        },
      ],
    },
  };
}

/** One run of h2load. A call that fails, fails the bench. */
async function measure(path: Path, seconds: number, body: string): Promise<Sample> {
  const pid = path.counted.process.pid ?? 0;
  const before = cpuMicroseconds(pid);
  const text = await output("taskset", [
    ...["-c", String(endsCore), "h2load", "--duration", String(seconds), "--warm-up-time", "0"],
    ...["-c", String(connections), "-m", String(streams), "-d", body],
    ...["-H", "content-type: application/grpc", "-H", "te: trailers"],
    `http://127.0.0.1:${path.port}/shop.Echo/Unary`,
  ]);
  const cpu = cpuMicroseconds(pid) - before;
  const total = /requests: (\d+) total, .* (\d+) done, (\d+) succeeded, (\d+) failed/.exec(text);
  const [done = 0, succeeded = 0, failed = 0] = (total?.slice(2) ?? []).map(Number);
  // Calls under way when the time is over are neither; anything else is a failure.
  if (succeeded === 0 || failed > 0) throw new Error(`${path.name}: calls failed:\n${text}`);
  const mean = /time for request:\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)/.exec(text);
  const unit = { us: 1, ms: 1_000, s: 1_000_000 }[mean?.[2] ?? "us"] ?? 1;
  return {
    callsPerSecond: done / seconds,
    cpuUs: cpu / done,
    meanUs: Number(mean?.[1] ?? 0) * unit,
  };
}

function output(command: string, words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, words, { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (chunk: string) => {
      text += chunk;
    });
    child.once("error", reject);
    child.once("exit", (code) => {
      if (code === 0) resolve(text);
      else reject(new Error(`${command} ended with ${code}:\n${text}`));
    });
  });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        resolve(typeof address === "object" && address !== null ? address.port : 0),
      );
    });
  });
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
