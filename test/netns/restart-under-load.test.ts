/**
 * An agent that is killed, restarted and upgraded while pods and clients from outside go on: not one packet of theirs
 * notices. What sidecars carry meanwhile is in test/e2e/killed.test.ts.
 */

import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { nameServerState } from "../../src/agent/dns/control.ts";
import { controlSocket } from "../../src/agent/dns/keeper.ts";
import { until } from "../../src/agent/fake/calls.ts";
import { readStatus } from "../../src/agent/fake/node.ts";
import type { FileView } from "../../src/agent/fake/node-process.ts";
import { present } from "../../src/base/error.ts";
import { createNetns, deleteNetns, inNetns } from "../../src/kernel/netns.ts";
import { findProcess } from "../../src/kernel/process-id.ts";
import type { ServiceView } from "../../src/model/node-view.ts";
import { encodeMessage } from "../../src/wire/dns/encode.ts";
import { executable, run, skipWithoutExecutable } from "./cni-node.ts";
import type { SteadyReport, Stream } from "./steady-client.ts";

const nodeProcess = join(import.meta.dirname, "../../src/agent/fake/node-process.ts");
const client = join(import.meta.dirname, "steady-client.ts");
const serviceAddress = "10.96.0.30";
const nodePort = 30_080;
const names = ["caller", "one", "two"];

describe("under steady load", { skip: skipWithoutExecutable }, () => {
  const made: string[] = [];
  const freshNetns = (name: string): string => {
    const path = `/run/netns/heddle-test-${process.pid}-${name}`;
    made.push(path);
    createNetns(path);
    inNetns(path, () => run("ip", "link", "set", "lo", "up"));
    return path;
  };
  const directory = mkdtempSync(join(tmpdir(), "heddle-restart-"));
  const viewFile = join(directory, "view.json");
  const servers: ChildProcess[] = [];
  let host = "";
  let outside = "";
  let pods: readonly string[] = [];
  let agent: ChildProcess | undefined;

  before(async () => {
    host = freshNetns("host");
    outside = freshNetns("outside");
    inNetns(host, () => {
      run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", outside);
      run("ip", "address", "add", "192.0.2.1/24", "dev", "uplink");
      run("ip", "link", "set", "uplink", "up");
    });
    inNetns(outside, () => {
      run("ip", "address", "add", "192.0.2.9/24", "dev", "eth0");
      run("ip", "link", "set", "eth0", "up");
    });
    pods = names.map(freshNetns);
    show({ pods: names.map((name) => ({ name })), services: [] });
    await start("1.0");
    const addresses = await Promise.all(names.map((name, i) => attach(name, pods[i] ?? "")));
    const endpoints = addresses
      .slice(1)
      .map((address) => ({ address, port: 8080, node: "node-1" }));
    show({
      pods: names.map((name, i) => ({ name, address: addresses[i] ?? "" })),
      services: [serviceOf(endpoints)],
    });
    agent?.kill("SIGHUP");
    for (const netns of pods.slice(1)) servers.push(await serve(netns));
    await until(async () => (await nameServerState(nameServerSocket()))?.isListening === true);
  });
  after(async () => {
    const nameServer = await nameServerState(nameServerSocket());
    await stop("SIGKILL");
    if (nameServer !== undefined) process.kill(nameServer.pid, "SIGKILL");
    for (const server of servers) server.kill();
    for (const path of made) deleteNetns(path);
    rmSync(directory, { recursive: true, force: true });
  });

  test("an agent that is killed, restarted and replaced by other versions loses and resets nothing", async () => {
    const inside = await Load.start(present(pods[0], "caller"), [
      ...askService("the Service", serviceAddress, 80),
      lookup("lookups by UDP", "udp", 3),
      lookup("lookups by TCP", "tcp", 20),
    ]);
    const away = await Load.start(outside, askService("the node port", "192.0.2.1", nodePort));
    for (const release of ["1.0", "1.1", "1.1", "1.2"]) {
      const before = await nameServerState(nameServerSocket());
      await stop("SIGKILL");
      await start(release);
      await until(async () => (await readStatus(join(directory, "run/agent.sock"))).inSync);
      if (before?.tag.startsWith(`${release}:`)) continue;
      await until(async () => (await nameServerState(nameServerSocket()))?.pid !== before?.pid);
      await until(() => findProcess(before?.pid ?? 0) === undefined);
    }
    const reports = { ...(await inside.stop()), ...(await away.stop()) };
    for (const [stream, { asked, lost }] of Object.entries(reports)) {
      assert.deepEqual(lost, [], `${stream}: ${lost.length} of ${asked}`);
      assert.ok(asked > 50, `${stream}: asked ${asked}`);
    }
    // A lost SYN would be sent again, and be late only.
    assert.deepEqual([pods[0] ?? "", outside].map(repeatedSyns), [0, 0]);
  });

  function nameServerSocket(): string {
    return controlSocket(join(directory, "run"));
  }

  function show(view: FileView): void {
    writeFileSync(viewFile, JSON.stringify(view));
  }

  async function start(release: string): Promise<void> {
    const env = { ...process.env, HEDDLE_VIEW: viewFile, HEDDLE_RELEASE: release };
    agent = spawn(process.execPath, [nodeProcess, host, directory], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(present(agent.stdout, "output of the agent"), "data");
  }

  async function stop(signal: NodeJS.Signals): Promise<void> {
    if (agent === undefined) return;
    const ended = once(agent, "exit");
    agent.kill(signal);
    await ended;
  }

  /** An ADD by the executable; the pod's address. */
  function attach(pod: string, netns: string): Promise<string> {
    const env = {
      CNI_COMMAND: "ADD",
      CNI_CONTAINERID: `c-${pod}`,
      CNI_NETNS: netns,
      CNI_IFNAME: "eth0",
      CNI_PATH: "/opt/cni/bin",
      CNI_ARGS: `K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${pod};K8S_POD_UID=uid-${pod}`,
      HEDDLE_CNI_SOCKET: join(directory, "run/cni.sock"),
    };
    return new Promise((resolve, reject) => {
      const child = execFile(executable, [], { env }, (error, stdout) => {
        if (error !== null) reject(new Error(stdout));
        else resolve(JSON.parse(stdout).ips[0].address.split("/")[0]);
      });
      child.stdin?.end(JSON.stringify({ cniVersion: "1.1.0", name: "pods", type: "heddle-cni" }));
    });
  }
});

function serviceOf(endpoints: ServiceView["ports"][number]["endpoints"]): ServiceView {
  const port = (protocol: "TCP" | "UDP") => ({
    name: protocol.toLowerCase(),
    protocol,
    port: 80,
    nodePort,
    endpoints,
  });
  const ports = [port("TCP"), port("UDP")];
  return { namespace: "shop", name: "echo", clusterIp: serviceAddress, ports };
}

function askService(name: string, address: string, port: number): readonly Stream[] {
  const question = Buffer.from("ping").toString("hex");
  return (["kept", "new"] as const).flatMap((kind) =>
    (["tcp", "udp"] as const).map((protocol) => ({
      ...{ name: `${kind} ${protocol} to ${name}`, kind, protocol, address, port, question },
      everyMs: 10,
    })),
  );
}

function lookup(name: string, protocol: "tcp" | "udp", everyMs: number): Stream {
  const query = encodeMessage({
    ...{ id: 7, isResponse: false, opcode: 0, authoritative: false, truncated: false },
    ...{ recursionDesired: true, recursionAvailable: false, responseCode: 0 },
    questions: [{ name: "echo.shop.svc.cluster.local", type: 1, class: 1 }],
    ...{ answers: [], authorities: [], additionals: [] },
  });
  const framed = protocol === "udp" ? query : Uint8Array.of(0, query.length, ...query);
  const question = Buffer.from(framed).toString("hex");
  return { name, kind: "new", protocol, address: "169.254.1.1", port: 53, everyMs, question };
}

/** Sends back what it is sent, by TCP and UDP, at 8080 of a pod. */
async function serve(netns: string): Promise<ChildProcess> {
  const program = `
    require("node:net").createServer((s) => s.on("error", () => s.destroy()).pipe(s)).listen(8080);
    const udp = require("node:dgram").createSocket("udp4");
    udp.on("message", (bytes, { port, address }) => udp.send(bytes, port, address));
    udp.bind(8080, () => console.log("ready"));`;
  const child = inNetns(netns, () =>
    spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] }),
  );
  await once(child.stdout, "data");
  return child;
}

/** Of the namespace, from its beginning. */
function repeatedSyns(netns: string): number {
  const text = inNetns(netns, () => run("nstat", "-asz", "TcpExtTCPSynRetrans"));
  return Number(/TcpExtTCPSynRetrans\s+(\d+)/.exec(text)?.[1]);
}

class Load {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    const input = present(child.stdout, "output of the load");
    this.#lines = createInterface({ input })[Symbol.asyncIterator]();
  }

  /** Resolves when every stream has had an answer. */
  static async start(netns: string, streams: readonly Stream[]): Promise<Load> {
    const child = inNetns(netns, () =>
      spawn(process.execPath, [client, JSON.stringify(streams)], {
        stdio: ["pipe", "pipe", "inherit"],
        timeout: 120_000,
      }),
    );
    const load = new Load(child);
    assert.equal(await load.#line(), "ready");
    return load;
  }

  async stop(): Promise<SteadyReport> {
    this.#child.stdin?.end();
    return JSON.parse(await this.#line());
  }

  async #line(): Promise<string> {
    return String((await this.#lines.next()).value);
  }
}
