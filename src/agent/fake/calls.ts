/** What tests of a fake node ask again and again: CNI calls of its pods, and what must be left of them. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Pod } from "../../api/k8s/core.ts";
import type { CniReply } from "../../wire/cni/frame.ts";
import type { FakeNode } from "./node.ts";

export function add(
  node: FakeNode,
  id: string,
  pod: string,
  netns: string,
  config?: object,
  ifName = "eth0",
): Promise<CniReply> {
  const args = `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${pod};K8S_POD_UID=uid-${pod}`;
  const variables = { COMMAND: "ADD", CONTAINERID: id, NETNS: netns, IFNAME: ifName, ARGS: args };
  return node.cni(variables, config);
}

export function del(node: FakeNode, id: string): Promise<CniReply> {
  return node.cni({ COMMAND: "DEL", CONTAINERID: id, IFNAME: "eth0", NETNS: "" });
}

export async function addressOf(reply: Promise<CniReply>): Promise<string> {
  const { exitCode, stdout } = await reply;
  assert.equal(exitCode, 0, stdout);
  return JSON.parse(stdout).ips[0].address;
}

export async function sidecarPid(node: FakeNode): Promise<number> {
  const [attachment] = (await node.status()).attachments;
  return attachment?.sidecar?.kind === "ready" ? attachment.sidecar.pid : 0;
}

/** Of the node's first pod. */
export async function linkOf(node: FakeNode): Promise<string> {
  return (await node.status()).attachments[0]?.link ?? "";
}

/** No attachment, no record, no runtime file, no address in use. */
export async function nothingLeft(node: FakeNode): Promise<void> {
  const { attachments, addressesInUse } = await node.status();
  assert.deepEqual(attachments, []);
  assert.equal(addressesInUse, 0);
  assert.deepEqual(readdirSync(join(node.options.stateDir, "attachments")), []);
  assert.deepEqual(readdirSync(join(node.options.runDir, "pods")), []);
}

export function refuse(node: FakeNode, kind: string): void {
  node.kernel.failOn((step) => (step.kind === kind ? "refused by the test" : undefined));
}

export function podOf(node: FakeNode, name: string): Pod {
  return node.objects.all.get(`Pod shop/${name}`) as Pod;
}

/** Processes that this one has started and that have not ended. */
export function children(): readonly number[] {
  const list = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8");
  return list.trim().split(" ").filter(Boolean).map(Number);
}

/** Waits for something truthy; the state is polled, so nothing depends on how long anything takes. */
export async function until<T>(probe: () => T | Promise<T>): Promise<T> {
  for (let i = 0; i < 5_000; i++) {
    const found = await probe();
    if (found) return found;
    await sleep(2);
  }
  throw new Error(`never came: ${probe}`);
}
