/**
 * `heddle ipam check [--fix]`: finds where Pods, nodes' records and address blocks disagree, and repairs just that.
 *
 * Nothing is locked and nobody has to stop: pods come and go while it runs. So what one look finds may only be in
 * between; it counts when a second look, a moment later, finds the same. Before each repair it is looked for once
 * more, and each repair is the smallest there is, made by whoever owns the thing: the node's agent releases its
 * record, the API takes an address off a Pod's status, a block is changed at the version that was read.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { AddressBlock } from "../api/heddle/v1.ts";
import type { Resource } from "../api/resource.ts";
import { MeshError, unreachable } from "../base/error.ts";
import { isRecord } from "../base/json.ts";
import {
  checkAddresses,
  type Finding,
  type NodeRecords,
  type RecordedAttachment,
  renderFinding,
} from "../core/ipam/check.ts";
import { claimants, claimedBy, unclaim } from "../core/ipam/claims.ts";
import { worldOf } from "../core/registry/world.ts";
import { httpTransport } from "../rpc/http-transport.ts";
import type { ObjectClient } from "../rpc/object-client.ts";

export interface CheckResult {
  readonly findings: readonly Finding[];
  readonly fixed: readonly Finding[];
  /** Nodes that were looked into. */
  readonly nodes: readonly string[];
}

/** A view takes that long to get to a node and back at the worst of times that are not a fault. */
const betweenLooksMs = 1_500;
const kinds = ["Network", "AddressPool", "Node", "AddressBlock", "Namespace", "Pod"];

/** `agents`: the sockets (RUN/agent.sock) of agents on this machine; records of other nodes are not looked into. */
export async function checkIpam(
  client: ObjectClient,
  agents: readonly string[],
  fix: boolean,
): Promise<CheckResult> {
  const first = await look(client, agents);
  if (first.findings.length === 0) return { ...first, fixed: [] };
  await delay(betweenLooksMs);
  const second = await look(client, agents);
  const findings = both(first.findings, second.findings);
  const fixed: Finding[] = [];
  if (fix) {
    for (const finding of findings) {
      const now = await look(client, agents);
      if (both([finding], now.findings).length === 0) continue; // it went by itself
      await repair(finding, client, now.sockets);
      fixed.push(finding);
    }
  }
  return { findings, fixed, nodes: second.nodes };
}

export function renderCheck({ findings, fixed, nodes }: CheckResult): string {
  const where = `records of ${nodes.length === 0 ? "no node" : nodes.join(", ")} looked into`;
  if (findings.length === 0) return `consistent (${where})`;
  const lines = findings.map(
    (finding) => `${fixed.includes(finding) ? "fixed" : "found"}  ${renderFinding(finding)}`,
  );
  return [...lines, `${findings.length} found, ${fixed.length} fixed (${where})`].join("\n");
}

interface Look {
  readonly findings: readonly Finding[];
  readonly nodes: readonly string[];
  readonly sockets: ReadonlyMap<string, string>;
}

/** Records before objects: a pod that comes in between has its object, not its record, and is not missed. */
async function look(client: ObjectClient, agents: readonly string[]): Promise<Look> {
  const sockets = new Map<string, string>();
  const records: NodeRecords[] = [];
  for (const agent of agents) {
    const answer = await askAgent(agent, "GET", "/status").catch(() => undefined);
    if (answer === undefined) continue; // not running: its node is not judged
    sockets.set(answer.node, agent);
    records.push(answer);
  }
  const objects = await Promise.all(kinds.map((kind) => client.list<Resource>(kind)));
  const world = worldOf(objects.flatMap((list) => list.objects));
  return {
    findings: checkAddresses(world, records),
    nodes: [...sockets.keys()].sort(),
    sockets,
  };
}

function both(a: readonly Finding[], b: readonly Finding[]): readonly Finding[] {
  const there = new Set(b.map((each) => JSON.stringify(each)));
  return a.filter((each) => there.has(JSON.stringify(each)));
}

async function repair(
  finding: Finding,
  client: ObjectClient,
  sockets: ReadonlyMap<string, string>,
): Promise<void> {
  switch (finding.kind) {
    case "leaked-record": {
      const agent = sockets.get(finding.node);
      if (agent !== undefined) await askAgent(agent, "POST", `/release?link=${finding.link}`);
      return;
    }
    case "leaked-pod-address": {
      const [namespace = "", name = ""] = finding.pod.split("/");
      await client.patchStatus("Pod", namespace, name, { podIP: null, podIPs: null });
      return;
    }
    case "block-of-gone-node":
      await takeBack(client, finding.block, finding.node);
      return;
    case "double-use": {
      // Neither can keep it; the one that has no right to it goes, and whoever made it makes another.
      const [namespace = "", name = ""] = finding.pod.split("/");
      await client.delete("Pod", namespace, name);
      return;
    }
    default:
      unreachable(finding);
  }
}

/** As the server's controller does; here for when it did not. */
async function takeBack(client: ObjectClient, name: string, node: string): Promise<void> {
  const block = await client.get<AddressBlock>("AddressBlock", "", name);
  if (block === undefined) return;
  const left = unclaim(block, node, claimedBy(block, node));
  const [heir] = claimants(left);
  if (heir === undefined) {
    await client.delete("AddressBlock", "", name);
    return;
  }
  const owner = block.spec.node === node ? heir : block.spec.node;
  await client.update({ ...left, spec: { ...left.spec, node: owner } });
}

async function askAgent(socket: string, method: string, path: string): Promise<NodeRecords> {
  const transport = httpTransport({ kind: "socket", path: socket });
  try {
    const { code, body } = await transport.send({ method, path });
    if (code !== 200 || !isRecord(body)) {
      throw new MeshError("cli.agent", `ask the agent at ${socket}: it answered ${code}`, {
        fault: "peer",
      });
    }
    return parseRecords(body);
  } finally {
    transport.close();
  }
}

function parseRecords(body: Readonly<Record<string, unknown>>): NodeRecords {
  const attachments = Array.isArray(body["attachments"]) ? body["attachments"] : [];
  return {
    node: String(body["node"]),
    // What is being added has no word in it yet.
    attachments: attachments
      .filter(isRecord)
      .filter((each) => each["phase"] === "added") as unknown as RecordedAttachment[],
  };
}
