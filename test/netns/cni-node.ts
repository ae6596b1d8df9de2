/**
 * A node on the running kernel for tests of what a container runtime sees: the real executable, the real driver, objects
 * and views that are stand-ins, and a machine next door.
 *
 * The test's process moves into the node's namespace for good, as the agent of a machine is in the machine's.
 */

import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type FakeNode, type FakeNodeOptions, startFakeNode } from "../../src/agent/fake/node.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { createNetns, deleteNetns, enterNetns, inNetns } from "../../src/kernel/netns.ts";
import type { CniReply } from "../../src/wire/cni/frame.ts";

export const executable: string = join(import.meta.dirname, "../../build/heddle-cni");

/** Why tests of the executable are skipped; false where they run. */
export const skipWithoutExecutable: string | false =
  process.getuid?.() !== 0
    ? "needs root"
    : !existsSync(executable)
      ? "needs build/heddle-cni (npm run setup)"
      : false;

export const nodeAddress = "192.0.2.1";
export const outsideAddress = "192.0.2.9";

export interface CniCall {
  readonly command?: string;
  readonly id?: string;
  readonly pod?: string;
  readonly netns?: string;
  readonly ifName?: string;
  /** Fields of the plugin's configuration beside version, name and type. */
  readonly config?: object;
  /** Set, or with undefined removed. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Instead of a configuration. */
  readonly stdin?: string;
}

export class CniNode implements AsyncDisposable {
  readonly node: FakeNode;
  /** Another machine on the node's network. */
  readonly outside: string;
  readonly #made: string[];

  private constructor(node: FakeNode, outside: string, made: string[]) {
    this.node = node;
    this.outside = outside;
    this.#made = made;
  }

  static async start(options: FakeNodeOptions = {}): Promise<CniNode> {
    const made: string[] = [];
    const host = freshNetns(made);
    const outside = freshNetns(made);
    inNetns(host, () => {
      run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", outside);
      run("ip", "address", "add", `${nodeAddress}/24`, "dev", "uplink");
      run("ip", "link", "set", "uplink", "up");
    });
    inNetns(outside, () => {
      run("ip", "address", "add", `${outsideAddress}/24`, "dev", "eth0");
      run("ip", "link", "set", "eth0", "up");
    });
    enterNetns(host);
    const node = await startFakeNode({ openDriver: openKernelDriver, ...options });
    return new CniNode(node, outside, made);
  }

  /** A container's namespace. */
  netns(): string {
    return freshNetns(this.#made);
  }

  /** Runs the executable as a runtime does. */
  call(call: CniCall): Promise<CniReply & { readonly stderr: string }> {
    const { command, id = "c1", pod = "web", netns = "", ifName = "eth0" } = call;
    const given: Readonly<Record<string, string | undefined>> = {
      CNI_COMMAND: command ?? "ADD",
      CNI_CONTAINERID: id,
      CNI_NETNS: netns,
      CNI_IFNAME: ifName,
      CNI_PATH: "/opt/cni/bin",
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${pod};K8S_POD_UID=uid-${pod}`,
      HEDDLE_CNI_SOCKET: this.node.cniSocket,
      ...call.env,
    };
    const env = Object.fromEntries(
      Object.entries(given).filter(([, value]) => value !== undefined),
    );
    const config = { cniVersion: "1.1.0", name: "pods", type: "heddle-cni", ...call.config };
    return new Promise((resolve) => {
      const child = execFile(executable, [], { env }, (_, stdout, stderr) => {
        resolve({ exitCode: child.exitCode ?? 1, stdout, stderr });
      });
      child.stdin?.on("error", () => undefined); // it may end without reading all
      child.stdin?.end(call.stdin ?? JSON.stringify(config));
    });
  }

  /** An ADD that must succeed; its result. */
  async add(call: CniCall): Promise<CniResultJson> {
    const { exitCode, stdout } = await this.call(call);
    assert.equal(exitCode, 0, stdout);
    return JSON.parse(stdout);
  }

  /** What must fail; the error's JSON. */
  async refused(call: CniCall): Promise<CniErrorJson> {
    const { exitCode, stdout } = await this.call(call);
    assert.notEqual(exitCode, 0, stdout);
    return JSON.parse(stdout);
  }

  async del(id: string, more: CniCall = {}): Promise<void> {
    const { exitCode, stdout } = await this.call({ command: "DEL", id, ...more });
    assert.equal(exitCode, 0, stdout);
    assert.equal(stdout, "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node[Symbol.asyncDispose]();
    for (const path of this.#made) deleteNetns(path);
  }
}

export interface CniResultJson {
  readonly cniVersion: string;
  readonly interfaces: readonly {
    readonly name: string;
    readonly mac?: string;
    readonly sandbox?: string;
  }[];
  readonly ips: readonly { readonly address: string; readonly interface?: number }[];
  readonly routes: readonly { readonly dst: string }[];
}

export interface CniErrorJson {
  readonly cniVersion: string;
  readonly code: number;
  readonly msg: string;
  readonly details?: string;
}

/** A result's first address, without its length. */
export function addressIn(result: CniResultJson): string {
  return (result.ips[0]?.address ?? "").split("/")[0] ?? "";
}

/** Runs a tool in the present namespace; its output. */
export function run(file: string, ...words: readonly string[]): string {
  return execFileSync(file, words, { encoding: "utf8" });
}

let made = 0;

function freshNetns(into: string[]): string {
  const path = `/run/netns/heddle-test-${process.pid}-c${++made}`;
  into.push(path);
  createNetns(path);
  inNetns(path, () => run("ip", "link", "set", "lo", "up"));
  return path;
}
