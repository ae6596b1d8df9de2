/**
 * What does a Service cost a connection, with 10 000 other Services on the node?
 *
 * A client and a server as pods of one node, in namespaces, with the node's whole table in between. The client calls the
 * server's own address (the floor) and a Service's address in turns: connections that carry one line and are closed, one
 * after the other, and round trips on a connection that stays. The ratio that counts is the worse of both; the floor has
 * the same table, so what is compared is the Service and not the firewall.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Pod } from "../src/api/k8s/core.ts";
import { compileNode } from "../src/core/dataplane/compile-node.ts";
import { worldOf } from "../src/core/registry/world.ts";
import { inNetns } from "../src/kernel/netns.ts";
import type { ServiceView } from "../src/model/node-view.ts";
import { TestNetwork, TestNode } from "../test/netns/dataplane-node.ts";
import type { BenchResult } from "./result.ts";
import { manyServices, viewOf } from "./service-views.ts";

const others = 10_000;
const rounds = 60;
const aim = 0.95;
const server = "10.128.0.2";
const serviceAddress = "10.111.0.1";

export async function run(): Promise<BenchResult> {
  if (process.getuid?.() !== 0) throw new Error("bench service-path: needs root");
  await using network = new TestNetwork();
  const pods = ["10.128.0.1", server].map(podAt);
  const node = new TestNode(network, "one", worldOf(pods));
  const base = viewOf([...manyServices(others), ours]);
  const workloads = pods.map(({ metadata, status }) => ({
    namespace: "bench",
    name: metadata.name,
    uid: metadata.uid ?? "",
    node: "one",
    addresses: [status?.podIP ?? ""],
    identity: 1,
    serviceAccount: "default",
    labels: {},
    meshed: false,
  }));
  const features = { vxlan: true, nftables: true };
  node.realise(compileNode({ ...base, workloads }, node.attachments, features).value);
  await network.serve(node.pod("bench/pod-1"), 8080, "x");
  await using client = Client.start(node.pod("bench/pod-0").path, network);
  await using echo = await Echo.start(node.pod("bench/pod-1").path);
  void echo;
  const direct = { connect: [] as number[], trip: [] as number[] };
  const through = { connect: [] as number[], trip: [] as number[] };
  for (let round = -4; round < rounds; round++) {
    for (const [into, address, port] of [
      [direct, server, 8080],
      [through, serviceAddress, 80],
    ] as const) {
      const connect = await client.measure("connect", address, port, 100);
      const trip = await client.measure("trip", address, port + 1, 400);
      if (round < 0) continue; // warm-up
      into.connect.push(connect);
      into.trip.push(trip);
    }
  }
  const connect = round(quiet(direct.connect) / quiet(through.connect));
  const trip = round(quiet(direct.trip) / quiet(through.trip));
  return {
    bench: "service-path",
    unit: `microseconds for a connection with one line, through a Service beside ${others} others`,
    ours: round(quiet(through.connect)),
    floor: round(quiet(direct.connect)),
    rivals: {},
    ratio: { floor: round(1 / connect), rate: Math.min(connect, trip) },
    growth: [],
    details: {
      aim,
      connectionsPerSecond: connect,
      roundTripsPerSecond: trip,
      roundTripMicroseconds: { direct: quiet(direct.trip), service: quiet(through.trip) },
    },
  };
}

const ours: ServiceView = {
  namespace: "bench",
  name: "zz-ours",
  clusterIp: serviceAddress,
  ports: [80, 81].map((port) => ({
    name: `port-${port}`,
    protocol: "TCP",
    port,
    endpoints: [{ address: server, port: port === 80 ? 8080 : 8081, node: "one" }],
  })),
};

function podAt(address: string, index: number): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "bench", name: `pod-${index}`, uid: `pod-${index}` },
    spec: { nodeName: "one", containers: [] },
    status: { phase: "Running", podIP: address },
  };
}

/** Sequential calls from a process of its own, in the client's namespace. */
class Client implements AsyncDisposable {
  readonly #process: ReturnType<typeof spawn>;
  readonly #answers: AsyncIterator<string>;

  private constructor(process: ReturnType<typeof spawn>, answers: AsyncIterator<string>) {
    this.#process = process;
    this.#answers = answers;
  }

  static start(netns: string, _network: TestNetwork): Client {
    const child = inNetns(netns, () =>
      spawn("taskset", ["-c", "0", process.execPath, "-e", clientProgram], {
        stdio: ["pipe", "pipe", "inherit"],
      }),
    );
    return new Client(child, createInterface({ input: child.stdout })[Symbol.asyncIterator]());
  }

  /** Microseconds for one. */
  async measure(what: string, address: string, port: number, count: number): Promise<number> {
    this.#process.stdin?.write(`${JSON.stringify({ what, address, port, count })}\n`);
    const { value, done } = await this.#answers.next();
    if (done === true || typeof value !== "string" || Number.isNaN(Number(value))) {
      throw new Error(`bench service-path: ${what} to ${address}:${port}: ${value}`);
    }
    return Number(value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill();
    await once(this.#process, "exit");
  }
}

/** Sends back each byte, in the server's namespace. */
class Echo implements AsyncDisposable {
  readonly #process: ReturnType<typeof spawn>;

  private constructor(process: ReturnType<typeof spawn>) {
    this.#process = process;
  }

  static async start(netns: string): Promise<Echo> {
    const program = `require("node:net").createServer((s) => s.setNoDelay(true).on("error", () => s.destroy()).pipe(s))
      .listen(8081, () => console.log("ready"));`;
    const child = inNetns(netns, () =>
      spawn("taskset", ["-c", "1", process.execPath, "-e", program], {
        stdio: ["ignore", "pipe", "inherit"],
      }),
    );
    await once(child.stdout, "data");
    return new Echo(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill();
    await once(this.#process, "exit");
  }
}

const clientProgram = `
const net = require("node:net");
const once = (address, port) => new Promise((resolve, reject) => {
  const socket = net.connect(port, address);
  let line = "";
  socket.on("error", reject);
  socket.on("data", (bytes) => (line += bytes));
  socket.on("close", () => (line.startsWith("x ") ? resolve() : reject(new Error("got " + line))));
});
const trips = (address, port, count) => new Promise((resolve, reject) => {
  const socket = net.connect(port, address, () => { socket.setNoDelay(true); start = process.hrtime.bigint(); socket.write("x"); });
  let left = count, start;
  socket.on("error", reject);
  socket.on("data", () => {
    if (--left > 0) { socket.write("x"); return; }
    const took = Number(process.hrtime.bigint() - start) / 1e3;
    socket.destroy();
    resolve(took);
  });
});
require("node:readline").createInterface({ input: process.stdin }).on("line", async (line) => {
  const { what, address, port, count } = JSON.parse(line);
  try {
    if (what === "trip") { console.log(await trips(address, port, count) / count); return; }
    const start = process.hrtime.bigint();
    for (let i = 0; i < count; i++) await once(address, port);
    console.log(Number(process.hrtime.bigint() - start) / 1e3 / count);
  } catch (error) { console.log("failed: " + error.message); }
});
`;

/** The lower quartile: what else the machine does only ever adds. */
function quiet(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 4)] ?? 0;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
