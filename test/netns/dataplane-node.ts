/**
 * Nodes and pods as network namespaces, set up with `ip` and `nft` from compiled states: what the data-plane tests
 * send packets through. Independent of our own kernel driver, so that a fault there cannot hide one in the compiler.
 *
 * Everything is named `heddle-test-<pid>-<n>` and goes with `close()`.
 */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import type { Pod } from "../../src/api/k8s/core.ts";
import { familyOf, renderCidr } from "../../src/base/ip.ts";
import { compileNode } from "../../src/core/dataplane/compile-node.ts";
import { hostLinkName, podMac } from "../../src/core/dataplane/pod-link.ts";
import { viewFor } from "../../src/core/registry/view.ts";
import { addressesOf } from "../../src/core/registry/workloads.ts";
import { objectsOf, type World } from "../../src/core/registry/world.ts";
import { openFastPath } from "../../src/kernel/fast-path.ts";
import { once as onFirstUse } from "../../src/kernel/ffi.ts";
import {
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  NetlinkSocket,
} from "../../src/kernel/netlink-socket.ts";
import { createNetns, deleteNetns, inNetns } from "../../src/kernel/netns.ts";
import { NftContext } from "../../src/kernel/nftables.ts";
import { whyLegacyAsks } from "../../src/kernel/others-rules.ts";
import { OwnTable } from "../../src/kernel/own-table.ts";
import { findLink } from "../../src/kernel/pod-interface.ts";
import { Wrapping } from "../../src/kernel/wrapping.ts";
import { podGateways } from "../../src/model/names.ts";
import type { NodeState, Ruleset } from "../../src/model/node-state.ts";
import type { Attachment } from "../../src/model/node-view.ts";
import { renderRuleset } from "../../src/model/ruleset-text.ts";

let made = 0;

export interface Netns {
  readonly name: string;
  readonly path: string;
}

export class TestNetwork implements AsyncDisposable {
  readonly #namespaces: Netns[] = [];
  readonly #servers: Server[] = [];
  readonly #processes: ChildProcess[] = [];

  netns(): Netns {
    made += 1;
    const name = `heddle-test-${process.pid}-${made}`;
    const path = `/run/netns/${name}`;
    createNetns(path);
    this.#namespaces.push({ name, path });
    ip({ name, path }, "link set lo up");
    return { name, path };
  }

  sysctl(where: Netns, key: string, value: string): void {
    inNetns(where.path, () => writeFileSync(`/proc/sys/${key}`, value));
  }

  /** A TCP server at `port` that answers each connection with `<says> <client's address>` and closes it. */
  async serve(where: Netns, port: number, says: string): Promise<void> {
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.end(`${says} ${socket.remoteAddress?.replace("::ffff:", "")}\n`);
    });
    this.#servers.push(server);
    inNetns(where.path, () => {
      server.listen(port);
    });
    if (!server.listening) await once(server, "listening");
  }

  /** Ends the servers at a port. */
  async stopServing(port: number): Promise<void> {
    for (const server of this.#servers) {
      const address = server.address();
      if (address === null || typeof address === "string" || address.port !== port) continue;
      server.close();
      await once(server, "close");
    }
  }

  /** The same for UDP, in a process of its own: Node binds UDP sockets too late to borrow a namespace. */
  async serveUdp(where: Netns, port: number, says: string): Promise<void> {
    const program = `
      const socket = require("node:dgram").createSocket("udp4");
      socket.on("message", (_, { address, port }) =>
        socket.send(\`${says} \${address}\\n\`, port, address));
      socket.bind(${port}, () => console.log("ready"));`;
    const child = inNetns(where.path, () =>
      spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] }),
    );
    this.#processes.push(child);
    await once(child.stdout, "data");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) server.close();
    for (const child of this.#processes) child.kill();
    for (const { path } of this.#namespaces) deleteNetns(path);
  }
}

/** Runs `ip` commands, separated by lines or semicolons, in a namespace. */
export function ip(where: Netns, commands: string): void {
  const batch = commands
    .split(/[\n;]/)
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .join("\n");
  execFileSync("ip", ["-n", where.name, "-batch", "-"], { input: `${batch}\n` });
}

export function nft(where: Netns, text: string): string {
  return execFileSync("ip", ["netns", "exec", where.name, "nft", "-f", "-"], {
    input: text,
    encoding: "utf8",
  });
}

/**
 * The answer of whom the connection reached, or how it ended: `refused`, `timeout`, or the system's words.
 * `patienceSeconds`: where an answer must come, more than a busy machine takes to start a shell.
 */
export async function connect(
  from: Netns,
  address: string,
  port: number,
  protocol: "tcp" | "udp" = "tcp",
  patienceSeconds = 0.6,
): Promise<string> {
  const open = `exec 3<>/dev/${protocol}/${address}/${port}`;
  const script = protocol === "tcp" ? `${open} && cat <&3` : `${open} && echo >&3 && head -n1 <&3`;
  const limited = ["timeout", `${patienceSeconds}`, "bash", "-c", script];
  const child = spawn("ip", ["netns", "exec", from.name, ...limited], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const [code] = (await once(child, "close")) as [number];
  if (code === 124) return "timeout";
  if (errors.includes("Connection refused")) return "refused";
  return output === "" ? errors.trim() : output.trim();
}

/** Nobody else can have the address of a pod; waiting a second to make sure is for other links. */
function noDad(address: string): string {
  return familyOf(address) === "IPv6" ? " nodad" : "";
}

/** A node's namespace with its pods', as the compiled state has it. */
export class TestNode {
  readonly host: Netns;
  readonly attachments: readonly Attachment[];
  readonly #pods: ReadonlyMap<string, Netns>;
  readonly #fastPath = onFirstUse(() => openFastPath(true));

  constructor(network: TestNetwork, name: string, world: World) {
    this.host = network.netns();
    const pods = new Map<string, Netns>();
    this.attachments = objectsOf<Pod>(world, "Pod")
      .filter((pod) => pod.spec.nodeName === name)
      .map((pod) => {
        const netns = network.netns();
        const { namespace = "default", name: podName, uid = "" } = pod.metadata;
        pods.set(`${namespace}/${podName}`, netns);
        return {
          containerId: netns.name,
          ifName: "eth0",
          netns: netns.name,
          namespace,
          name: podName,
          uid,
          addresses: addressesOf(pod),
          hostLink: hostLinkName(netns.name, "eth0"),
          mac: podMac(netns.name, "eth0"),
        };
      });
    this.#pods = pods;
  }

  pod(name: string): Netns {
    const netns = this.#pods.get(name);
    if (netns === undefined) throw new Error(`no pod ${name} on this node`);
    return netns;
  }

  /** Compiles the node's state from the world; what is applied is left to the caller. */
  compile(name: string, world: World): NodeState {
    const features = { vxlan: true, nftables: true, fastPath: true };
    return compileNode(viewFor(world, name), this.attachments, features).value;
  }

  /** The table first, as a plan does, then links, addresses and routes; the fast path, where this machine has one. */
  realise(state: NodeState): void {
    if (state.ruleset !== undefined) nft(this.host, renderRuleset(state.ruleset));
    const inHost: string[] = [];
    for (const link of state.links) {
      if (link.kind === "vxlan") {
        inHost.push(
          `link add ${link.name} address ${link.mac} mtu ${link.mtu} type vxlan id ${link.vni} dstport ${link.port} local ${link.local} nolearning`,
          `link set ${link.name} up`,
        );
        continue;
      }
      if (link.kind === "wireguard") throw new Error("encrypted nodes are wireguard-node.ts's");
      const { netns, ifName, addresses, mac } = link.peer;
      inHost.push(
        `link add ${link.name} mtu ${link.mtu} type veth peer name ${ifName} address ${mac} netns ${netns}`,
        `link set ${link.name} up`,
      );
      ip(this.host, inHost.splice(0).join("\n"));
      ip(
        { name: netns, path: "" },
        [
          ...addresses.map((address) => `address add ${address} dev ${ifName}${noDad(address)}`),
          `link set ${ifName} up`,
          ...addresses.map(
            (each) => `route add default via ${podGateways[familyOf(each)]} dev ${ifName} onlink`,
          ),
        ].join("\n"),
      );
    }
    inHost.push(
      ...state.addresses.map(
        (a) => `address add ${a.address}/${a.prefixLength} dev ${a.link}${noDad(a.address)}`,
      ),
      ...state.neighbours.map((n) => `neigh replace ${n.address} lladdr ${n.mac} dev ${n.link}`),
      ...state.routes.map((route) => {
        const kind = route.blackhole === true ? "blackhole " : "";
        const via = route.via === undefined ? "" : ` via ${route.via}`;
        const device = route.link === undefined ? "" : ` dev ${route.link}`;
        const onLink = route.onLink === true ? " onlink" : "";
        const mtu = route.mtu === undefined ? "" : ` mtu ${route.mtu}`;
        return `route replace ${kind}${renderCidr(route.destination)}${via}${device}${onLink}${mtu}`;
      }),
    );
    ip(this.host, inHost.join("\n"));
    for (const entry of state.forwarding) {
      execFileSync("bridge", [
        ...["-n", this.host.name, "fdb", "append", entry.mac],
        ...["dev", entry.link, "dst", entry.remote, "self", "permanent"],
      ]);
    }
    for (const { key, value } of state.sysctls) {
      inNetns(this.host.path, () => writeFileSync(`/proc/sys/${key}`, value));
    }
    this.#accelerate(state);
  }

  /** Ours alone knows how; nothing may depend on whether it did. */
  #accelerate({ fastPath: specs = [], ruleset }: NodeState): void {
    if (specs.length === 0) return;
    inNetns(this.host.path, () => {
      const route = new NetlinkSocket(NETLINK_ROUTE);
      const netfilter = new NetlinkSocket(NETLINK_NETFILTER);
      try {
        const fastPath = this.#fastPath();
        for (const spec of specs) {
          const link = findLink(route, spec.link);
          if (link !== undefined) fastPath.put(spec, link, { queues: [], hasChain: false });
        }
        if (ruleset !== undefined) stampRules(ruleset, netfilter);
        new Wrapping(fastPath.object, { route, netfilter }).look(fastPath.overlay);
      } finally {
        for (const socket of [route, netfilter]) socket.close();
      }
    });
  }
}

/** Has the present namespace's table carry the number of its rules. */
function stampRules(ruleset: Ruleset, netfilter: NetlinkSocket): void {
  const announcements = new NetlinkSocket(NETLINK_NETFILTER);
  const nft = new NftContext();
  try {
    new OwnTable({
      ...{ nft, netfilter, announcements },
      openSocket: () => new NetlinkSocket(NETLINK_NETFILTER),
      stamping: { legacy: whyLegacyAsks },
    }).observe(ruleset);
  } finally {
    nft.close();
    announcements.close();
  }
}
