/**
 * The blocks of the address plan as this node sees and changes them, by way of the API.
 *
 * Every change is a compare-and-swap of one object, made again on what is there when somebody was faster, so nodes
 * need no lock and no leader. What the node holds is known from its own writes and from the last look at all blocks.
 * Changes are made one after the other: the newest answer is the truth.
 *
 * Not here: which address a pod gets (ipam.ts), what is best taken or given back (core/ipam).
 */

import type { AddressBlock, AddressPool, AddressReservation, Network } from "../api/heddle/v1.ts";
import { MeshError } from "../base/error.ts";
import { type Cidr, cidrContains, hostCidr, parseCidr, renderCidr } from "../base/ip.ts";
import type { Log } from "../base/log.ts";
import { blockCidr, claim, claimants, claimedBy, unclaim, unclaimed } from "../core/ipam/claims.ts";
import { addressBlock, type Growth, nextGrowth } from "../core/ipam/growth.ts";
import { blockCidrIn, type Pool, poolsOf } from "../core/ipam/pools.ts";
import { covers } from "../core/ipam/prefixes.ts";
import type { ObjectClient } from "../rpc/object-client.ts";

/** A writer that loses this often has met others that never rest. */
const mostAttempts = 50;

export class AddressBlocks {
  readonly #node: string;
  readonly #objects: ObjectClient;
  readonly #log: Log;
  #pools: readonly Pool[] = [];
  #reserved: readonly Cidr[] = [];
  /** All there are, by name, as of the last look; our own as of our last write. */
  #blocks: ReadonlyMap<string, AddressBlock> = new Map();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(node: string, objects: ObjectClient, log: Log) {
    this.#node = node;
    this.#objects = objects;
    this.#log = log;
  }

  get pools(): readonly Pool[] {
    return this.#pools;
  }

  get reserved(): readonly Cidr[] {
    return this.#reserved;
  }

  get all(): readonly AddressBlock[] {
    return [...this.#blocks.values()];
  }

  /** Blocks that are this node's, or of which it claims a part. */
  get own(): readonly Cidr[] {
    return this.all
      .filter((block) => claimants(block).includes(this.#node) || block.spec.node === this.#node)
      .map(blockCidr);
  }

  /** What the node may give to pods. */
  get held(): readonly Cidr[] {
    return this.all.flatMap((block) => claimedBy(block, this.#node));
  }

  /** Looks at the whole plan. */
  look(): Promise<void> {
    return this.#inTurn(() => this.#look());
  }

  async #look(): Promise<void> {
    const [network, pools, reservations, blocks] = await Promise.all([
      this.#objects.get<Network>("Network", "", "default"),
      this.#objects.list<AddressPool>("AddressPool"),
      this.#objects.list<AddressReservation>("AddressReservation"),
      this.#objects.list<AddressBlock>("AddressBlock"),
    ]);
    if (network === undefined) {
      throw new MeshError(
        "ipam.network.absent",
        "read the address plan: Network default is absent",
        {
          retryable: true,
        },
      );
    }
    this.#pools = poolsOf(network, pools.objects);
    this.#reserved = reservations.objects.flatMap(({ spec }) => spec.cidrs.map(parseCidr));
    this.#blocks = new Map(blocks.objects.map((block) => [block.metadata.name, block]));
  }

  /** Takes more of the first of these pools that has any left for this node; false where none has. */
  grow(poolNames: readonly string[]): Promise<boolean> {
    return this.#inTurn(async () => {
      for (let attempt = 0; attempt < mostAttempts; attempt++) {
        await this.#look();
        const growth = this.#growthOf(poolNames);
        if (growth === undefined) return false;
        if (await this.#take(growth)) return true;
      }
      throw new MeshError("ipam.contention", `take addresses of ${poolNames.join(", ")}`, {
        retryable: true,
      });
    });
  }

  /** Whether the pools have any left for this node, as of the last look. */
  canGrow(poolNames: readonly string[]): boolean {
    return this.#growthOf(poolNames) !== undefined;
  }

  #growthOf(poolNames: readonly string[]): Growth | undefined {
    for (const name of poolNames) {
      const pool = this.#pools.find((each) => each.name === name);
      const growth = pool && nextGrowth(pool, this.all, this.#node, this.#reserved);
      if (growth !== undefined) return growth;
    }
    return undefined;
  }

  /** Claims one address by name. Throws `ipam.address.outside` or `ipam.address.held`, saying why not. */
  claimAddress(address: string): Promise<void> {
    return this.#inTurn(async () => {
      const wanted = hostCidr(address);
      for (let attempt = 0; attempt < mostAttempts; attempt++) {
        await this.#look();
        const growth = this.#growthFor(wanted);
        if (growth === undefined || (await this.#take(growth))) return;
      }
      throw new MeshError("ipam.contention", `claim address ${address}`, { retryable: true });
    });
  }

  /** Undefined where the node holds it already. */
  #growthFor(wanted: Cidr): Growth | undefined {
    const { address } = wanted;
    const pool = this.#pools.find((each) => !each.disabled && cidrContains(each.cidr, address));
    if (pool === undefined) {
      const pools = this.#pools.map((each) => `${each.name} (${renderCidr(each.cidr)})`).join(", ");
      throw new MeshError(
        "ipam.address.outside",
        `claim address ${address}: want one of an address pool: ${pools}`,
        { fault: "user" },
      );
    }
    const block = this.all.find((each) => cidrContains(blockCidr(each), address));
    if (block === undefined) {
      const cidr = blockCidrIn(pool, address);
      return { kind: "create", block: addressBlock(cidr, this.#node, [wanted]) };
    }
    if (claimedBy(block, this.#node).some((part) => covers(part, wanted))) return undefined;
    if (unclaimed(block).some((part) => covers(part, wanted))) {
      return { kind: "claim", block, parts: [wanted] };
    }
    const holder = claimants(block).find((node) =>
      claimedBy(block, node).some((part) => covers(part, wanted)),
    );
    throw new MeshError(
      "ipam.address.held",
      `claim address ${address}: node ${holder ?? block.spec.node} holds it; an AddressReservation keeps nodes from holding it for any pod`,
      { fault: "user", retryable: true },
    );
  }

  async #take(growth: Growth): Promise<boolean> {
    const { block } = growth;
    const added = growth.kind === "create" ? claimedBy(block, this.#node) : growth.parts;
    const done =
      growth.kind === "create"
        ? await this.#write(() => this.#objects.create(block))
        : await this.#write(() => this.#objects.update(claim(block, this.#node, growth.parts)));
    if (done) {
      this.#log.info("addresses claimed", {
        block: block.spec.cidr,
        parts: added.map(renderCidr),
        ...(block.spec.node === this.#node ? {} : { borrowedFrom: block.spec.node }),
      });
    }
    return done;
  }

  /**
   * Gives parts of a block back, and the block with its last claim. The caller has seen to it that no address of them
   * is used, and uses none until this resolves.
   */
  giveBack(name: string, parts: readonly Cidr[]): Promise<void> {
    return this.#inTurn(async () => {
      for (let attempt = 0; attempt < mostAttempts; attempt++) {
        const block = await this.#objects.get<AddressBlock>("AddressBlock", "", name);
        if (block === undefined) return this.#forget(name);
        const next = unclaim(block, this.#node, parts);
        // Between "nobody holds any of it" and its deletion somebody could come: `released` says that it is too late.
        const isLast = claimants(next).length === 0 && block.spec.node === this.#node;
        const wanted = isLast ? { ...next, spec: { ...next.spec, released: true } } : next;
        if (!(await this.#write(() => this.#objects.update(wanted)))) continue;
        this.#log.info("addresses given back", {
          block: block.spec.cidr,
          parts: parts.map(renderCidr),
        });
        if (!isLast) return;
        await this.#objects.delete("AddressBlock", "", name);
        return this.#forget(name);
      }
    });
  }

  /** False where somebody was faster. */
  async #write(call: () => Promise<AddressBlock>): Promise<boolean> {
    try {
      const block = await call();
      this.#blocks = new Map(this.#blocks).set(block.metadata.name, block);
      return true;
    } catch (error) {
      const raced = ["api.exists", "api.conflict", "api.absent"];
      if (error instanceof MeshError && raced.includes(error.code)) return false;
      throw error;
    }
  }

  #forget(name: string): void {
    const rest = new Map(this.#blocks);
    rest.delete(name);
    this.#blocks = rest;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}
