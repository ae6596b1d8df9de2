/**
 * A whole agent with nothing real around it but its files, sockets and processes: the kernel is the fake one, objects
 * are in memory, sidecars only follow the protocol, and views show the pods that the test declares.
 *
 * For tests: pods come and go with `showPods`, the CNI executable is `cni`, `restart` is what a new agent does on what
 * the old one left. Namespaces are ordinary files, because all that the agent asks of a path is its inode.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { get, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { AddressBlock, AddressPool, Network } from "../../api/heddle/v1.ts";
import type { Pod } from "../../api/k8s/core.ts";
import { parseCidr } from "../../base/ip.ts";
import { createLog } from "../../base/log.ts";
import type { KernelDriver } from "../../kernel/driver.ts";
import { createFakeKernel, type FakeKernel } from "../../kernel/fake/fake-driver.ts";
import type {
  AddressingView,
  CaptureView,
  Encap,
  NodeView,
  ServiceView,
  SidecarMode,
  WorkloadView,
} from "../../model/node-view.ts";
import { type CniReply, decodeReply, encodeInvocation } from "../../wire/cni/frame.ts";
import type { ViewSnapshot } from "../deps.ts";
import { nameServerState } from "../dns/control.ts";
import { controlSocket } from "../dns/keeper.ts";
import { Latest } from "../latest.ts";
import { runAgent } from "../main.ts";
import type { AgentOptions } from "../options.ts";
import type { MeshUpstream } from "../sidecars/upstream.ts";
import type { AgentStatus } from "../status.ts";
import { type FakeObjects, fakeObjects } from "./objects.ts";

export interface FakePod {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly meshed?: boolean;
  readonly capture?: CaptureView;
  readonly sidecarMode?: SidecarMode;
  readonly address?: string;
  readonly addressing?: AddressingView;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface FakeNode extends AsyncDisposable {
  readonly kernel: FakeKernel;
  readonly objects: FakeObjects;
  readonly options: AgentOptions;
  /** Versions of the views that the agent accepted or rejected, in order. */
  readonly verdicts: readonly string[];
  /** Log lines, parsed. */
  readonly lines: readonly { readonly event: string }[];
  /** The next view: exactly these pods and Services. */
  showPods(pods: readonly FakePod[], services?: readonly ServiceView[], encap?: Encap): void;
  /** A namespace, as a path. */
  makeNetns(): string;
  readonly cniSocket: string;
  /** What the executable does, with `CNI_*` variables without their prefix. */
  cni(variables: Readonly<Record<string, string>>, config?: object): Promise<CniReply>;
  status(): Promise<AgentStatus>;
  /** What `heddle node upgrade-sidecars` asks for; throws what could not be. */
  upgrade(): Promise<void>;
  /** A new agent on what the last one left, told something else where `changes` say so. */
  restart(changes?: Partial<AgentOptions>): Promise<void>;
  /** Ends the agent as a signal would. */
  stop(): Promise<void>;
}

export interface FakeNodeOptions extends Partial<AgentOptions> {
  /** Opens a real one for each agent instead of the fake; then namespaces must be real as well. */
  readonly openDriver?: () => KernelDriver;
  readonly createNetns?: (path: string) => void;
  readonly podCidr?: string;
  /** A second pool, `six`. */
  readonly podCidr6?: string;
  /** Where an earlier one lived, to be its successor. */
  readonly directory?: string;
  readonly log?: boolean;
}

export async function startFakeNode(given: FakeNodeOptions = {}): Promise<FakeNode> {
  const directory = given.directory ?? mkdtempSync(join(tmpdir(), "heddle-agent-"));
  let options: AgentOptions = {
    node: "node-1",
    addresses: ["192.0.2.1"],
    runDir: join(directory, "run"),
    stateDir: join(directory, "state"),
    trustDomain: "cluster.local",
    sidecarCommand: [process.execPath, join(import.meta.dirname, "sidecar.ts")],
    spareSidecars: 0,
    sidecarMode: "dedicated",
    sidecarWorkers: 2,
    sidecarPatienceMs: 20_000,
    release: "test",
    nameServerCommand: [],
    runtimeRoots: { podman: join(directory, "podman"), containerd: join(directory, "containerd") },
    ...given,
  };
  const podCidr = given.podCidr ?? "10.244.0.0/24";
  const kernel = createFakeKernel();
  const openDriver = given.openDriver ?? (() => kernel);
  const objects = fakeObjects();
  const network: Network = {
    apiVersion: "heddle.dev/v1",
    kind: "Network",
    metadata: { name: "default" },
    spec: { podCidr, blockPrefixLength: 26, serviceCidr: "10.96.0.0/16", encap: "none" },
  };
  await objects.create(network);
  const six: AddressPool | undefined =
    given.podCidr6 === undefined ? undefined : sixPool(given.podCidr6);
  if (six !== undefined) await objects.create(six);
  const verdicts: string[] = [];
  const lines: { readonly event: string }[] = [];
  const views = new Latest<ViewSnapshot>();
  let version = 0;
  let namespaces = 0;
  let stop = new AbortController();
  let running: Promise<void> = Promise.resolve();
  let starts = 0;
  const isStarted = () => lines.filter((line) => line.event === "agent started").length === starts;

  const start = async (): Promise<void> => {
    starts++;
    stop = new AbortController();
    const driver = openDriver();
    running = runAgent(
      options,
      {
        clock: {
          now: Date.now,
          sleep: (ms, signal) => sleep(ms, undefined, { signal, ref: false }),
        },
        random: Math.random,
        log: createLog((line) => {
          lines.push(JSON.parse(line));
          if (given.log) process.stderr.write(`${line}\n`);
        }, Date.now),
        driver,
        objects,
        mesh: fakeMesh,
        reporter: {
          send: () => Promise.resolve({ taps: [], checks: [] }),
          dropLog: { read: () => [] },
        },
        views: {
          async *snapshots(signal) {
            const current = views.get();
            if (current !== undefined) yield current;
            yield* views.changes(signal);
          },
        },
      },
      stop.signal,
    ).finally(() => driver.close());
    await listening(isStarted, running);
  };

  const node: FakeNode = {
    kernel,
    objects,
    options,
    verdicts,
    lines,
    cniSocket: join(options.runDir, "cni.sock"),
    showPods(pods, services = [], encap = { kind: "none" }) {
      const viewed = viewOf(pods, options, podCidr, objects, six);
      const name = `${++version}`;
      for (const pod of pods) ensurePod(objects, pod, options.node);
      views.set({
        version: name,
        view: { ...viewed, services, settings: { ...viewed.settings, encap } },
        accept: () => void verdicts.push(`${name} accepted`),
        reject: (error) => void verdicts.push(`${name} rejected: ${error}`),
      });
    },
    makeNetns() {
      const path = join(directory, `netns-${++namespaces}`);
      if (given.createNetns !== undefined) {
        given.createNetns(path);
        return path;
      }
      writeFileSync(path, "");
      kernel.addNetns(path);
      return path;
    },
    cni(variables, config = { cniVersion: "1.1.0", name: "pods", type: "heddle-cni" }) {
      const env = Object.fromEntries(
        Object.entries({ PATH: "/opt/cni/bin", ...variables }).map(([k, v]) => [`CNI_${k}`, v]),
      );
      return callAgent(node.cniSocket, env, JSON.stringify(config));
    },
    status: () => readStatus(join(options.runDir, "agent.sock")),
    upgrade: () => postTo(join(options.runDir, "agent.sock"), "/upgrade-sidecars"),
    async restart(changes = {}) {
      await node.stop();
      options = { ...options, ...changes };
      await start();
    },
    async stop() {
      stop.abort();
      await running;
    },
    async [Symbol.asyncDispose]() {
      for (const { attachments } of [await node.status().catch(() => ({ attachments: [] }))]) {
        for (const { containerId, ifName } of attachments) {
          await node.cni({ COMMAND: "DEL", CONTAINERID: containerId, IFNAME: ifName });
        }
      }
      await node.stop();
      const names = await nameServerState(controlSocket(options.runDir));
      if (names !== undefined) process.kill(names.pid, "SIGKILL");
      rmSync(directory, { recursive: true, force: true });
    },
  };
  await start();
  return node;
}

/** Speaks the executable's protocol. */
function callAgent(
  socketPath: string,
  env: Readonly<Record<string, string>>,
  stdin: string,
): Promise<CniReply> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect({ path: socketPath, allowHalfOpen: true } as { path: string });
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.once("error", reject);
    socket.once("end", () => {
      socket.destroy();
      try {
        resolve(decodeReply(Buffer.concat(chunks)));
      } catch (error) {
        reject(error);
      }
    });
    socket.end(encodeInvocation({ env, stdin }));
  });
}

export async function readStatus(socketPath: string): Promise<AgentStatus> {
  return JSON.parse(await readText(socketPath, "/status"));
}

export function readText(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ socketPath, path, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => (text += chunk));
      response.once("end", () => resolve(text));
    });
    request.once("error", reject);
  });
}

/** Has an agent do something; rejects with its words where it could not. */
export function postTo(socketPath: string, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = { socketPath, method: "POST", path, agent: false };
    const sent = request(options, async (response) => {
      const text = (await response.toArray()).join("");
      if (response.statusCode === 200) resolve();
      else reject(new Error(text));
    });
    sent.once("error", reject).end();
  });
}

/** Resolves when the agent of this node says so; whoever listens at its sockets may be another. */
async function listening(isStarted: () => boolean, running: Promise<void>): Promise<void> {
  const ended = running.then(() => Promise.reject(new Error("agent ended")));
  ended.catch(() => undefined);
  while (!isStarted()) await Promise.race([sleep(1), ended]);
}

const fakeMesh: MeshUpstream = {
  async relay(_pod, socketPath) {
    writeFileSync(socketPath, "");
    return { [Symbol.asyncDispose]: async () => undefined };
  },
  async issue() {
    const now = Date.now();
    return {
      chain: "chain",
      key: "key",
      roots: "roots",
      notBeforeMs: now,
      notAfterMs: now + 86_400_000,
    };
  },
};

function ensurePod(objects: FakeObjects, pod: FakePod, node: string): void {
  const namespace = pod.namespace ?? "shop";
  const key = `Pod ${namespace}/${pod.name}`;
  if (objects.all.has(key)) return;
  const object: Pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: pod.name, namespace, uid: pod.uid ?? `uid-${pod.name}` },
    spec: { nodeName: node, containers: [] },
  };
  objects.all.set(key, object);
}

function sixPool(cidr: string): AddressPool {
  return {
    apiVersion: "heddle.dev/v1",
    kind: "AddressPool",
    metadata: { name: "six" },
    spec: { cidr },
  };
}

function viewOf(
  pods: readonly FakePod[],
  options: AgentOptions,
  podCidr: string,
  objects: FakeObjects,
  six: AddressPool | undefined,
): NodeView {
  const blocks = [...objects.all.values()]
    .filter((each): each is AddressBlock => each.kind === "AddressBlock")
    .map((each) => parseCidr(each.spec.cidr));
  return {
    node: options.node,
    settings: {
      podCidr: parseCidr(podCidr),
      blockPrefixLength: 26,
      pools: [
        { name: "default", cidr: parseCidr(podCidr), masquerade: true },
        ...(six === undefined
          ? []
          : [{ name: six.metadata.name, cidr: parseCidr(six.spec.cidr), masquerade: false }]),
      ],
      serviceCidrs: [parseCidr("10.96.0.0/16")],
      encap: { kind: "none" },
    },
    nodes: [
      {
        name: options.node,
        address: "192.0.2.1",
        addresses: options.addresses,
        vtepMac: "02:00:00:00:00:01",
        blocks,
      },
    ],
    workloads: pods.map(
      (pod): WorkloadView => ({
        namespace: pod.namespace ?? "shop",
        name: pod.name,
        uid: pod.uid ?? `uid-${pod.name}`,
        node: options.node,
        identity: 1,
        serviceAccount: "default",
        labels: { app: pod.name },
        meshed: pod.meshed ?? false,
        ...(pod.capture === undefined ? {} : { capture: pod.capture }),
        ...(pod.sidecarMode === undefined ? {} : { sidecarMode: pod.sidecarMode }),
        ...(pod.addressing === undefined ? {} : { addressing: pod.addressing }),
        addresses: pod.address === undefined ? [] : [pod.address],
      }),
    ),
    services: [],
    policies: [],
  };
}
