/**
 * Nodes with an encrypted overlay, by the real driver: namespaces on one link, their pods, and what a machine on the wire
 * sees. Where this kernel has no WireGuard, `wireguard-go` makes the devices.
 */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { wireguardKeyIn } from "../../src/agent/state/wireguard-key.ts";
import type { Resource } from "../../src/api/resource.ts";
import type { Diagnostic } from "../../src/base/compiled.ts";
import { compileNode } from "../../src/core/dataplane/compile-node.ts";
import { planNode } from "../../src/core/dataplane/plan-node.ts";
import { viewFor } from "../../src/core/registry/view.ts";
import { type World, worldOf } from "../../src/core/registry/world.ts";
import type { KernelDriver } from "../../src/kernel/driver.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import type { WireguardOptions } from "../../src/kernel/wireguard.ts";
import type { NodeState, Plan } from "../../src/model/node-state.ts";
import type { Attachment } from "../../src/model/node-view.ts";
import { ip, type Netns, type TestNetwork, TestNode } from "./dataplane-node.ts";

/** The options of a node whose state is in a folder. */
export function wireguardIn(folder: string): WireguardOptions {
  return { ...wireguardKeyIn(folder), userspaceFolder: join(folder, "run") };
}

export interface EncryptedNode {
  readonly addresses: readonly string[];
  /** Names of pods, in the order of their addresses. */
  readonly pods: readonly string[];
  /** No WireGuard at all on this one. */
  readonly isPlain?: true;
}

/** All nodes' objects; `keys` are those that are published. */
export function worldFor(
  nodes: Readonly<Record<string, EncryptedNode>>,
  keys: Readonly<Record<string, string>>,
  more = "",
): World {
  const names = Object.keys(nodes).sort();
  const documents = [
    `
apiVersion: heddle.dev/v1
kind: Network
metadata: { name: default }
spec: { podCidr: 10.244.0.0/16, blockPrefixLength: 26, serviceCidr: 10.96.0.0/16, encap: wireguard }
---
apiVersion: heddle.dev/v1
kind: AddressPool
metadata: { name: six }
spec: { cidr: "fd00:244::/64" }
`,
    ...(more === "" ? [] : [more]),
    ...names.flatMap((name, index) => [
      `
apiVersion: v1
kind: Node
metadata:
  name: ${name}
  annotations: { ${keys[name] === undefined ? "" : `heddle.dev/wireguard-key: "${keys[name]}"`} }
status: { addresses: [${nodes[name]?.addresses.map((each) => `{ type: InternalIP, address: "${each}" }`)}] }
---
apiVersion: heddle.dev/v1
kind: AddressBlock
metadata: { name: four-${name} }
spec: { cidr: 10.244.0.${64 * index}/26, node: ${name} }
---
apiVersion: heddle.dev/v1
kind: AddressBlock
metadata: { name: six-${name} }
spec: { cidr: "fd00:244::${(64 * index).toString(16)}/122", node: ${name} }
`,
      ...(nodes[name]?.pods ?? []).map((pod, place) => {
        const four = `10.244.0.${64 * index + 1 + place}`;
        const six = `fd00:244::${(64 * index + 1 + place).toString(16)}`;
        return `
apiVersion: v1
kind: Pod
metadata: { namespace: shop, name: ${pod}, uid: ${pod}, labels: { app: ${pod} } }
spec: { nodeName: ${name}, containers: [{ name: main, image: any }] }
status: { phase: Running, podIP: "${four}", podIPs: [{ ip: "${four}" }, { ip: "${six}" }] }
`;
      }),
    ]),
  ];
  return worldOf(
    parseAllDocuments(documents.join("---")).map((document) => document.toJS() as Resource),
  );
}

/** Nodes on one link, with `wire`: a namespace whose bridge all packets between them pass. */
export class EncryptedSite implements AsyncDisposable {
  readonly wire: Netns;
  readonly #network: TestNetwork;
  readonly #nodes = new Map<string, SiteNode>();
  readonly #folder = mkdtempSync(join(tmpdir(), "heddle-wireguard-"));

  constructor(network: TestNetwork, nodes: Readonly<Record<string, EncryptedNode>>) {
    this.#network = network;
    this.wire = network.netns();
    ip(this.wire, "link add wire type bridge; link set wire up");
    const world = worldFor(nodes, {});
    for (const [name, { addresses, isPlain }] of Object.entries(nodes)) {
      const node = new TestNode(network, name, world);
      this.#plug(node.host, name, addresses);
      const wireguard = wireguardIn(mkdtempSync(join(this.#folder, `${name}-`)));
      this.#nodes.set(name, new SiteNode(name, node, isPlain ? undefined : wireguard));
    }
  }

  #plug({ name: host }: Netns, name: string, addresses: readonly string[]): void {
    ip(this.wire, `link add to-${name} type veth peer name up0 netns ${host}`);
    ip(this.wire, `link set to-${name} master wire up`);
    ip({ name: host, path: "" }, "link set up0 up");
    for (const address of addresses) {
      const rest = address.includes(":") ? "/64 dev up0 nodad" : "/24 dev up0";
      ip({ name: host, path: "" }, `address add ${address}${rest}`);
    }
    // Whoever is not known goes there, as on any machine: to somebody who listens.
    ip(this.wire, "address replace 192.0.2.254/24 dev wire");
    ip({ name: host, path: "" }, "route replace default via 192.0.2.254");
  }

  node(name: string): SiteNode {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }

  /** Keys of the nodes that can have a device, as they would publish them. */
  get keys(): Readonly<Record<string, string>> {
    return Object.fromEntries(
      [...this.#nodes].flatMap(([name, { publicKey }]) =>
        publicKey === undefined ? [] : [[name, publicKey]],
      ),
    );
  }

  show(world: World): void {
    for (const node of this.#nodes.values()) node.show(world);
  }

  /** Has a node drop what comes by another link than its answer would take, where a link does not say otherwise. */
  setStrict(name: string, isStrict: boolean): void {
    this.#network.sysctl(this.node(name).host, "net/ipv4/conf/all/rp_filter", isStrict ? "1" : "0");
  }

  /** What passes the wire from now on. */
  async capture(): Promise<Capture> {
    const words = [
      "netns",
      "exec",
      this.wire.name,
      "tcpdump",
      "-ni",
      "wire",
      "--immediate-mode",
      "-A",
      "-l",
    ];
    const child = spawn("ip", [...words, "ip or ip6"], { stdio: ["ignore", "pipe", "pipe"] });
    const capture = new Capture(child);
    await capture.started;
    return capture;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.#nodes.values()) node.close();
    await this.#network[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true });
  }
}

export class Capture {
  readonly started: Promise<void>;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #text = "";

  constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = new Promise((resolve) => child.once("close", resolve));
    child.stdout?.on("data", (chunk) => {
      this.#text += chunk;
    });
    this.started = new Promise((resolve) => {
      child.stderr?.on("data", (chunk) => {
        if (`${chunk}`.includes("listening")) resolve();
      });
    });
  }

  /** One line of head for each packet, and all text that was readable in them. */
  async stop(): Promise<{ readonly heads: readonly string[]; readonly text: string }> {
    this.#child.kill("SIGINT");
    await this.#ended;
    const heads = this.#text.split("\n").filter((line) => /^\d\d:\d\d:\d\d\.\d+ IP6? /.test(line));
    return { heads: heads.map((line) => line.slice(16)), text: this.#text };
  }
}

export class SiteNode {
  readonly host: Netns;
  readonly attachments: readonly Attachment[];
  readonly #name: string;
  readonly #node: TestNode;
  #wireguard: WireguardOptions | undefined;
  #driver: KernelDriver;
  #diagnostics: readonly Diagnostic[] = [];
  #wanted: NodeState | undefined;

  constructor(name: string, node: TestNode, wireguard: WireguardOptions | undefined) {
    this.#name = name;
    this.#node = node;
    this.host = node.host;
    this.attachments = node.attachments.map((each) => ({
      ...each,
      netns: `/run/netns/${each.netns}`,
    }));
    this.#wireguard = wireguard;
    this.#driver = this.#open();
  }

  #open(): KernelDriver {
    const options = this.#wireguard === undefined ? {} : { wireguard: this.#wireguard };
    return inNetns(this.host.path, () => openKernelDriver(options));
  }

  get publicKey(): string | undefined {
    return this.#wireguard?.publicKey;
  }

  get driver(): KernelDriver {
    return this.#driver;
  }

  get diagnostics(): readonly string[] {
    return this.#diagnostics.map(({ code, message }) => `${code} ${message}`);
  }

  pod(name: string): Netns {
    return this.#node.pod(`shop/${name}`);
  }

  /** Brings the node to its view of the world; answers the steps. */
  show(world: World): Plan {
    const view = viewFor(world, this.#name);
    const { value, diagnostics } = compileNode(view, this.attachments, this.#driver.features);
    this.#diagnostics = diagnostics;
    this.#wanted = value;
    return this.repair();
  }

  /** What a resync does: asks the kernel, and puts right what differs. */
  repair(): Plan {
    const wanted = this.#wanted;
    if (wanted === undefined) return [];
    const plan = planNode(wanted, this.#driver.observe(wanted.ruleset));
    this.#driver.apply(plan);
    return plan;
  }

  /** Another driver in the place of this one, as an agent's restart has it, with the same key or another. */
  restart(wireguard: WireguardOptions | undefined = this.#wireguard): void {
    this.#driver.close();
    this.#wireguard = wireguard;
    this.#driver = this.#open();
  }

  /** Another key, in a file of its own; the device follows with the next view. */
  rotate(): void {
    const old = this.#wireguard;
    if (old?.userspaceFolder === undefined) throw new Error("nothing to rotate");
    rmSync(old.keyFile);
    this.restart(wireguardIn(join(old.userspaceFolder, "..")));
  }

  /** `wg`, as somebody else on the node would use it. */
  wg(...words: readonly string[]): void {
    const folder = this.#wireguard?.userspaceFolder;
    if (folder === undefined) throw new Error("no WireGuard here");
    const inFolder = 'mount --bind "$0" /var/run && exec wg "$@"';
    inNetns(this.host.path, () =>
      execFileSync("unshare", ["--mount", "sh", "-c", inFolder, folder, ...words]),
    );
  }

  close(): void {
    // With its device whoever made it ends.
    this.#driver.apply([{ kind: "link-delete", name: "hdwg" }]);
    this.#driver.close();
  }
}
