/**
 * Nodes that share one address plan, in virtual time and over one store, each with the real `Ipam`: for tests of who
 * gets which address. What a node's records say survives its agent. A lease that fails in one of the ways that users
 * meet is undefined; anything else throws.
 */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type {
  AddressBlock,
  AddressPool,
  AddressReservation,
  Network,
} from "../../api/heddle/v1.ts";
import type { Node } from "../../api/k8s/core.ts";
import { MeshError } from "../../base/error.ts";
import { cidrContains } from "../../base/ip.ts";
import { createLog } from "../../base/log.ts";
import { claimedBy } from "../../core/ipam/claims.ts";
import { type AddressRequest, Ipam } from "../ipam.ts";
import { Cooling } from "../state/cooling.ts";
import { type FakeObjects, fakeObjects } from "./objects.ts";

/** 128 addresses, in four blocks. */
export const network: Network = {
  apiVersion: "heddle.dev/v1",
  kind: "Network",
  metadata: { name: "default" },
  spec: {
    podCidr: "10.0.0.0/25",
    blockPrefixLength: 27,
    serviceCidr: "10.96.0.0/16",
    encap: "none",
  },
};

const log = createLog(() => undefined, Date.now);

export class Cluster implements Disposable {
  readonly objects: FakeObjects = fakeObjects();
  readonly directory: string = mkdtempSync(join(tmpdir(), "heddle-ipam-"));
  readonly nodes: Map<string, TestNode> = new Map();
  nowMs = 0;

  async put(...objects: readonly (Network | AddressPool | AddressReservation)[]): Promise<void> {
    for (const object of objects) await this.objects.create(object);
  }

  /** Joins once, however many ask. */
  async member(name: string): Promise<TestNode> {
    const made = this.nodes.get(name);
    if (made === undefined) return this.join(name);
    await made.started;
    return made;
  }

  async join(name: string): Promise<TestNode> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const made = new TestNode(name, this, promise);
    this.nodes.set(name, made);
    const node: Node = { apiVersion: "v1", kind: "Node", metadata: { name } };
    await this.objects.apply(node);
    await made.start();
    resolve();
    return made;
  }

  /** The Node object goes, and the server takes back what the node held; its agent is no more. */
  async leave(name: string): Promise<void> {
    this.nodes.delete(name);
    await this.objects.delete("Node", "", name);
    for (const block of this.blocks()) {
      const claims = (block.spec.claims ?? []).filter((claim) => claim.node !== name);
      const [heir] = claims;
      if (claims.length === block.spec.claims?.length && block.spec.node !== name) continue;
      if (heir === undefined && block.spec.node === name) {
        await this.objects.delete("AddressBlock", "", block.metadata.name);
        continue;
      }
      const node = block.spec.node === name ? (heir?.node ?? "") : block.spec.node;
      await this.objects.update({ ...block, spec: { ...block.spec, node, claims } });
    }
  }

  blocks(): readonly AddressBlock[] {
    return [...this.objects.all.values()].filter(
      (each): each is AddressBlock => each.kind === "AddressBlock",
    );
  }

  /** What must hold at every moment. */
  check(): void {
    const owners = new Map<string, string>();
    for (const node of this.nodes.values()) {
      for (const address of node.records) {
        assert.equal(owners.get(address), undefined, `${address} has two owners`);
        owners.set(address, node.name);
        const held = this.blocks().flatMap((block) => claimedBy(block, node.name));
        assert.ok(
          held.some((part) => cidrContains(part, address)),
          `${node.name} gave ${address}, which it does not hold`,
        );
      }
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}

export class TestNode {
  readonly records: Set<string> = new Set();
  readonly connections: Set<string> = new Set();
  readonly name: string;
  readonly started: Promise<void>;
  readonly #cluster: Cluster;
  readonly #directory: string;
  #boot = 1;
  #ipam: Ipam | undefined;

  constructor(name: string, cluster: Cluster, started: Promise<void>) {
    this.name = name;
    this.started = started;
    this.#cluster = cluster;
    this.#directory = join(cluster.directory, name);
    mkdirSync(this.#directory, { recursive: true });
  }

  get ipam(): Ipam {
    assert.ok(this.#ipam !== undefined);
    return this.#ipam;
  }

  /** An agent on what the last one left. */
  async start(): Promise<void> {
    const clock = { now: () => this.#cluster.nowMs, sleep: () => Promise.resolve() };
    this.#ipam = new Ipam({
      node: this.name,
      objects: this.#cluster.objects,
      cooling: new Cooling(this.#directory, `boot-${this.#boot}`, clock),
      used: this.records,
      connected: (addresses) => addresses.filter((address) => this.connections.has(address)),
      log,
    });
    await this.ipam.confirm();
  }

  async reboot(): Promise<void> {
    this.#boot += 1;
    this.records.clear();
    await this.start();
  }

  /** Undefined where there is none. */
  async lease(request?: AddressRequest): Promise<readonly string[] | undefined> {
    const { ipam } = this;
    try {
      const addresses = await ipam.lease(request);
      if (ipam !== this.#ipam) return undefined; // the agent died before the record was written
      for (const address of addresses) {
        assert.ok(!this.records.has(address), `${address} was given twice`);
        this.records.add(address);
      }
      return addresses;
    } catch (error) {
      if (error instanceof MeshError && error.code.startsWith("ipam.")) return undefined;
      throw error;
    }
  }

  release(index: number): void {
    const all = [...this.records];
    const address = all[index % Math.max(1, all.length)];
    if (address === undefined) return;
    this.records.delete(address);
    this.ipam.release([address]);
  }
}
