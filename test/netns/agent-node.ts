/**
 * One node with the running kernel and the real CNI executable: what tests of what a runtime and a pod see of the agent
 * share.
 *
 * The test's process moves into the node's namespace for good, as the agent of a machine is in the machine's. Objects
 * and views are stand-ins; sidecars only follow the protocol.
 */

import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type FakeNode, startFakeNode } from "../../src/agent/fake/node.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { createNetns, deleteNetns, enterNetns, inNetns } from "../../src/kernel/netns.ts";
import type { CniReply } from "../../src/wire/cni/frame.ts";
import { needsRoot } from "./kernel-scratch.ts";

const executable = join(import.meta.dirname, "../../build/heddle-cni");

/** What `describe` takes. */
export const skipAgentNode: string | false =
  needsRoot || (existsSync(executable) ? false : "needs build/heddle-cni (npm run setup)");

export class AgentNode implements AsyncDisposable {
  readonly node: FakeNode;
  /** The node's own namespace. */
  readonly path: string;
  readonly #made: string[];

  private constructor(node: FakeNode, path: string, made: string[]) {
    this.node = node;
    this.path = path;
    this.#made = made;
  }

  static async start(): Promise<AgentNode> {
    const made: string[] = [];
    const path = freshNetns(made);
    enterNetns(path);
    const nameServerCommand = [
      process.execPath,
      join(import.meta.dirname, "../../src/main.ts"),
      ...["names", "--address", "169.254.1.1", "--port", "53"],
    ];
    const node = await startFakeNode({ openDriver: openKernelDriver, nameServerCommand });
    return new AgentNode(node, path, made);
  }

  /** A pod's namespace, with loopback up. */
  netns(): string {
    return freshNetns(this.#made);
  }

  /** Runs the executable as a runtime does. */
  cni(command: string, id: string, pod = "", netns = "", address?: string): Promise<CniReply> {
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: netns,
      CNI_IFNAME: "eth0",
      CNI_PATH: "/opt/cni/bin",
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${pod};K8S_POD_UID=uid-${pod}`,
      HEDDLE_CNI_SOCKET: this.node.cniSocket,
    };
    const prevResult = { ips: [{ address: `${address}/32` }] };
    const config = { cniVersion: "1.0.0", name: "pods", ...(address && { prevResult }) };
    return new Promise((resolve) => {
      const child = execFile(executable, [], { env }, (_, stdout) => {
        resolve({ exitCode: child.exitCode ?? 1, stdout });
      });
      child.stdin?.end(JSON.stringify(config));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node[Symbol.asyncDispose]();
    for (const path of this.#made) deleteNetns(path);
  }
}

function freshNetns(made: string[]): string {
  const path = `/run/netns/heddle-test-${process.pid}-${made.length + 1}`;
  made.push(path);
  createNetns(path);
  inNetns(path, () => execFileSync("ip", ["link", "set", "lo", "up"]));
  return path;
}

/** The address of a pod that was added. */
export async function added(reply: Promise<CniReply>): Promise<string> {
  const { exitCode, stdout } = await reply;
  assert.equal(exitCode, 0, stdout);
  return JSON.parse(stdout).ips[0].address.replace("/32", "");
}

/** What a command prints in a namespace. */
export function runIn(netns: string, file: string, args: readonly string[]): Promise<string> {
  const child = inNetns(netns, () => {
    return spawn(file, args, { stdio: ["ignore", "pipe", "inherit"], timeout: 5_000 });
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  return once(child, "close").then(() => output);
}

/** Links and routes of pods on the node. */
export function ours(): { readonly links: readonly string[]; readonly routes: readonly string[] } {
  const links = readFileSync("/proc/self/net/dev", "utf8").match(/hd[0-9a-f]{10}/g) ?? [];
  const routes = execFileSync("ip", ["route", "show", "type", "unicast"], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes("dev hd"));
  return { links, routes };
}
