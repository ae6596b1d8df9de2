/**
 * Addresses of this node's pods.
 *
 * Blocks come from the network's range and belong to the node that created the AddressBlock object named after them:
 * creating is the compare-and-swap, so no two nodes hold one block. Inside a block the agent alone decides, in memory,
 * and each address that is in use has a record on disk (state/), so no two pods hold one address. A block is taken
 * when no address is free; an address that was given back cools down (state/cooling.ts) unless it is the last resort.
 *
 * Not here: which block and which address are best (core/ipam).
 */

import type { AddressBlock, Network } from "../api/heddle/v1.ts";
import { MeshError, renderError } from "../base/error.ts";
import { type Cidr, parseCidr, renderCidr } from "../base/ip.ts";
import type { Log } from "../base/log.ts";
import { blockName, blockTexts, chooseAddress, chooseBlock } from "../core/ipam/choose.ts";
import type { ObjectClient } from "../rpc/object-client.ts";
import type { Cooling } from "./state/cooling.ts";

export class Ipam {
  readonly #node: string;
  readonly #objects: ObjectClient;
  readonly #cooling: Cooling;
  readonly #log: Log;
  readonly #used: Set<string>;
  #blocks: readonly Cidr[] = [];
  #growing: Promise<void> | undefined;

  constructor(
    node: string,
    objects: ObjectClient,
    cooling: Cooling,
    used: Iterable<string>,
    log: Log,
  ) {
    this.#node = node;
    this.#objects = objects;
    this.#cooling = cooling;
    this.#used = new Set(used);
    this.#log = log;
  }

  get blocks(): readonly Cidr[] {
    return this.#blocks;
  }

  get inUse(): number {
    return this.#used.size;
  }

  /** Whether the blocks that the node holds have an address left, cooling ones counted. */
  get hasRoom(): boolean {
    return chooseAddress(this.#blocks, this.#used, []) !== undefined;
  }

  /** Learns which blocks the node holds, and takes a first one where it holds none and one is left. */
  async confirm(): Promise<void> {
    const { objects } = await this.#objects.list<AddressBlock>("AddressBlock");
    const own = objects.filter((block) => block.spec.node === this.#node);
    this.#blocks = own.map((block) => parseCidr(block.spec.cidr));
    if (this.#blocks.length === 0) {
      await this.#grow().catch((error: unknown) => {
        if (!isExhausted(error)) throw error;
        this.#log.warn("node has no address block", { error: renderError(error) });
      });
    }
  }

  /** Addresses that nobody else has, the primary first. They stay taken until `release`. */
  async lease(): Promise<readonly string[]> {
    let address = this.#take(this.#cooling.fresh());
    let cause: unknown;
    if (address === undefined) {
      await this.#grow().catch((error: unknown) => {
        cause = error;
      });
      address = this.#take(this.#cooling.fresh());
    }
    // Nothing else is free: the address that waited longest is the safest of those that should wait.
    const [oldest] = this.#cooling.fresh();
    address ??= oldest === undefined ? undefined : this.#take(this.#cooling.fresh().slice(1));
    if (address === undefined) {
      throw new MeshError(
        "ipam.pool.exhausted",
        `lease an address on ${this.#node}: all of ${this.#blocks.map(renderCidr).join(", ") || "no block"} are in use`,
        { cause, fault: "user", retryable: true },
      );
    }
    return [address];
  }

  release(addresses: readonly string[]): void {
    for (const address of addresses) {
      if (this.#used.delete(address)) this.#cooling.add(address);
    }
  }

  /** Synchronous from look to take: two pods cannot find the same address free. */
  #take(cooling: readonly string[]): string | undefined {
    const address = chooseAddress(this.#blocks, this.#used, cooling);
    if (address === undefined) return undefined;
    this.#used.add(address);
    this.#cooling.remove(address);
    return address;
  }

  /** One at a time: pods that all find the blocks full wait for the same new one. */
  #grow(): Promise<void> {
    this.#growing ??= this.#takeBlock().finally(() => {
      this.#growing = undefined;
    });
    return this.#growing;
  }

  async #takeBlock(): Promise<void> {
    const network = await this.#objects.get<Network>("Network", "", "default");
    if (network === undefined) {
      throw new MeshError(
        "ipam.network.absent",
        "take an address block: Network default is absent",
        {
          retryable: true,
        },
      );
    }
    const range = parseCidr(network.spec.podCidr);
    const { objects } = await this.#objects.list<AddressBlock>("AddressBlock");
    const taken = new Set(blockTexts(objects.map((block) => parseCidr(block.spec.cidr))));
    for (;;) {
      const block = chooseBlock(range, network.spec.blockPrefixLength, taken, this.#node);
      if (block === undefined) {
        throw new MeshError(
          "ipam.pool.exhausted",
          `take an address block: all of ${network.spec.podCidr} are taken`,
          { fault: "user", retryable: true },
        );
      }
      if (await this.#create(block)) {
        this.#blocks = [...this.#blocks, block];
        this.#log.info("address block taken", { block: renderCidr(block) });
        return;
      }
      taken.add(renderCidr(block)); // another node was faster: the next one
    }
  }

  async #create(block: Cidr): Promise<boolean> {
    const object: AddressBlock = {
      apiVersion: "heddle.dev/v1",
      kind: "AddressBlock",
      metadata: { name: blockName(block) },
      spec: { cidr: renderCidr(block), node: this.#node },
    };
    try {
      await this.#objects.create(object);
      return true;
    } catch (error) {
      if (error instanceof MeshError && error.code === "api.exists") return false;
      throw error;
    }
  }
}

function isExhausted(error: unknown): boolean {
  return error instanceof MeshError && error.code === "ipam.pool.exhausted";
}
