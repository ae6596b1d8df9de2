/**
 * Addresses of this node's pods.
 *
 * What the node may give is what it claims of address blocks (address-blocks.ts); inside its claims the agent alone
 * decides, in memory, and each address that is in use has a record on disk (state/), so no two pods have one address.
 * More is claimed when no address is free. An address that was given back cools down: it is not given again for a
 * while, nor as long as a tracked connection of it lives, however long that is. Where nothing else is left, the one
 * that waited longest is given early; one with a connection never is.
 *
 * A pod gets an address of each family that its pools have, or none at all.
 *
 * Not here: which block and which address are best (core/ipam).
 */

import { MeshError, renderError } from "../base/error.ts";
import { type Cidr, cidrContains, familyOf, hostCidr, parseCidr, renderCidr } from "../base/ip.ts";
import type { Log } from "../base/log.ts";
import { chooseAddress } from "../core/ipam/choose.ts";
import { defaultPoolName, type Pool } from "../core/ipam/pools.ts";
import { covers, renderPrefixes } from "../core/ipam/prefixes.ts";
import { surplus } from "../core/ipam/surplus.ts";
import type { ObjectClient } from "../rpc/object-client.ts";
import { AddressBlocks } from "./address-blocks.ts";
import type { Cooling } from "./state/cooling.ts";
import { within } from "./within.ts";

/** What a pod wants. */
export interface AddressRequest {
  /** Names of the pools to take from, in every family that they have; without: pool `default`. */
  readonly pools?: readonly string[];
  /** Exactly these, at most one of each family; the other families come from the pools. */
  readonly addresses?: readonly string[];
}

export interface IpamParts {
  readonly node: string;
  readonly objects: ObjectClient;
  readonly cooling: Cooling;
  /** Addresses that attachments have. */
  readonly used: Iterable<string>;
  /** Those of the addresses that take part in a tracked connection. */
  readonly connected: (addresses: readonly string[]) => readonly string[];
  readonly log: Log;
}

/** An address that still cools down, now, is better than a free one for which the runtime will not have waited. */
const growWithinMs = 5_000;

export class Ipam {
  readonly #parts: IpamParts;
  readonly #plan: AddressBlocks;
  readonly #used: Set<string>;
  /** Given to pods that asked for them by name. */
  readonly #named = new Set<string>();
  /** On their way back to the plan: not given any more. */
  #leaving: readonly Cidr[] = [];
  /** Parts that were idle at the last look, as `block part`. */
  #idle: ReadonlySet<string> = new Set();
  readonly #growing = new Map<string, Promise<boolean>>();

  constructor(parts: IpamParts) {
    this.#parts = parts;
    this.#plan = new AddressBlocks(parts.node, parts.objects, parts.log);
    this.#used = new Set(parts.used);
  }

  get blocks(): readonly Cidr[] {
    return this.#plan.own;
  }

  /** What the node may give, in use or not. */
  get held(): readonly Cidr[] {
    return this.#plan.held;
  }

  get inUse(): number {
    return this.#used.size;
  }

  /** Addresses that pods have although the plan gives them to this node no longer; empty unless somebody meddled. */
  get lost(): readonly string[] {
    return [...this.#used].filter((address) => !this.#isHeld(address));
  }

  /** Whether an address is left for a pod without wishes: held, cooling ones counted, or to be had. */
  get hasRoom(): boolean {
    const names = [defaultPoolName];
    const held = this.#heldOf(this.#poolsNamed(names));
    return chooseAddress(held, this.#used, []) !== undefined || this.#plan.canGrow(names);
  }

  /** Learns what the node holds, and takes a first block where it holds none and one is left. */
  async confirm(): Promise<void> {
    await this.#plan.look();
    if (this.held.length > 0 || (await this.#grow([defaultPoolName]))) return;
    this.#parts.log.warn("node has no address block", { pool: defaultPoolName });
  }

  /** Addresses that nobody else has, the primary first. They stay taken until `release`. */
  async lease(request: AddressRequest = {}): Promise<readonly string[]> {
    const names = request.pools ?? [defaultPoolName];
    if (names.some((name) => this.#poolNamed(name) === undefined)) await this.#plan.look();
    const pools = this.#poolsNamed(names);
    const fixed = request.addresses ?? [];
    const families = new Set([...pools.map(({ cidr }) => cidr.address), ...fixed].map(familyOf));
    const taken: string[] = [];
    try {
      for (const family of families) {
        const wanted = fixed.find((address) => familyOf(address) === family);
        const from = pools.filter(({ cidr }) => familyOf(cidr.address) === family);
        taken.push(wanted === undefined ? await this.#any(from) : await this.#exactly(wanted));
      }
      return taken;
    } catch (error) {
      this.release(taken); // half of what was asked for is nothing
      throw error;
    }
  }

  release(addresses: readonly string[]): void {
    for (const address of addresses) {
      if (!this.#used.delete(address)) continue;
      this.#parts.cooling.add(address);
      // Claimed for a pod that asked for it by name: the pod may want it on another node next.
      const named = this.#named.delete(address);
      const alone = this.held.some((part) => renderCidr(part) === renderCidr(hostCidr(address)));
      if (named && alone) void this.#giveBackAlone(address);
    }
  }

  async #any(pools: readonly Pool[]): Promise<string> {
    const names = pools.map(({ name }) => name);
    const { cooling } = this.#parts;
    let cause: unknown;
    for (;;) {
      const address = this.#take(pools, cooling.all());
      if (address !== undefined) return address;
      try {
        if (!(await this.#grow(names))) break;
      } catch (error) {
        cause = error;
        break;
      }
    }
    const held = this.#heldOf(pools);
    const waiting = cooling.all().filter((each) => held.some((part) => cidrContains(part, each)));
    const connected = new Set(this.#parts.connected(waiting));
    for (const oldest of waiting.filter((address) => !connected.has(address))) {
      if (this.#takeOne(oldest)) return oldest;
    }
    const busy =
      connected.size === 0 ? "" : `; ${connected.size} wait for their connections to end`;
    throw new MeshError(
      "ipam.pool.exhausted",
      `lease an address of pool ${names.join(", ")} on ${this.#parts.node}: all of ${renderPrefixes(held) || "no block"} are in use, and no more is left for this node${busy}`,
      { cause, fault: "user", retryable: true },
    );
  }

  async #exactly(address: string): Promise<string> {
    for (let attempt = 0; ; attempt++) {
      if (this.#used.has(address)) {
        throw new MeshError(
          "ipam.address.in-use",
          `lease address ${address}: another pod of node ${this.#parts.node} has it`,
          { fault: "user", retryable: true },
        );
      }
      if (this.#isHeld(address) && this.#takeOne(address)) {
        this.#named.add(address);
        return address;
      }
      if (attempt > 0) break;
      await this.#plan.claimAddress(address);
    }
    throw new MeshError("ipam.contention", `lease address ${address}`, { retryable: true });
  }

  /** Synchronous from look to take: two pods cannot find the same address free. */
  #take(pools: readonly Pool[], avoided: readonly string[]): string | undefined {
    const held = this.#heldOf(pools);
    const skipped = [...this.#plan.reserved, ...this.#leaving];
    const address = chooseAddress(held, this.#used, avoided, skipped);
    return address !== undefined && this.#takeOne(address) ? address : undefined;
  }

  #takeOne(address: string): boolean {
    if (this.#used.has(address) || this.#leaving.some((part) => cidrContains(part, address))) {
      return false;
    }
    this.#used.add(address);
    this.#parts.cooling.remove(address);
    return true;
  }

  #isHeld(address: string): boolean {
    return this.held.some((part) => cidrContains(part, address));
  }

  #heldOf(pools: readonly Pool[]): readonly Cidr[] {
    return this.held.filter((part) => pools.some(({ cidr }) => covers(cidr, part)));
  }

  #poolNamed(name: string): Pool | undefined {
    return this.#plan.pools.find((pool) => pool.name === name);
  }

  #poolsNamed(names: readonly string[]): readonly Pool[] {
    return names.flatMap((name) => {
      const pool = this.#poolNamed(name);
      if (pool !== undefined) return [pool];
      if (this.#plan.pools.length === 0) return []; // not looked yet
      const known = this.#plan.pools.map((each) => each.name).join(", ");
      throw new MeshError(
        "ipam.pool.absent",
        `lease an address: there is no address pool "${name}"; want one of ${known}`,
        { fault: "user" },
      );
    });
  }

  /** One at a time: pods that all find the blocks full wait for the same growth, but not for ever. */
  #grow(names: readonly string[]): Promise<boolean> {
    const key = names.join();
    const known = this.#growing.get(key);
    if (known !== undefined) return inTime(known);
    const growing = this.#plan.grow(names).finally(() => this.#growing.delete(key));
    this.#growing.set(key, growing);
    return inTime(growing);
  }

  /**
   * What time brings: cooled addresses become free, what this node should hold and does not is claimed again, and
   * what it held idle at two looks goes back.
   */
  async tend(): Promise<void> {
    this.#settle();
    await this.#plan.look();
    await this.#reclaim();
    const { node } = this.#parts;
    const before = this.#idle;
    const found = surplus(this.#plan.all, node, this.#busy(), this.#plan.reserved);
    const keyOf = (block: string, part: Cidr) => `${block} ${renderCidr(part)}`;
    this.#idle = new Set(
      found.flatMap(({ block, parts }) => parts.map((part) => keyOf(block.metadata.name, part))),
    );
    for (const { block, parts } of found) {
      const { name } = block.metadata;
      const idle = parts.filter((part) => before.has(keyOf(name, part)));
      if (idle.length > 0) await this.#giveBack(name, idle);
    }
  }

  /** The cool-down of an address ends when its time is over and nothing speaks of it any more. */
  #settle(): void {
    const { cooling, connected } = this.#parts;
    const cooled = cooling.cooled();
    if (cooled.length === 0) return;
    const stillConnected = new Set(connected(cooled));
    for (const address of cooled) if (!stillConnected.has(address)) cooling.remove(address);
  }

  /** Somebody deleted a claim that is in use: it is claimed again, or the operator has to know. */
  async #reclaim(): Promise<void> {
    for (const address of this.lost) {
      try {
        await this.#plan.claimAddress(address);
      } catch (error) {
        this.#parts.log.error("a pod's address is not this node's", {
          address,
          error: renderError(error),
        });
      }
    }
  }

  /** Nothing of the parts is used from here on; where that fails they stay the node's. */
  async #giveBack(name: string, parts: readonly Cidr[]): Promise<void> {
    const idle = parts.filter((part) => !this.#busyIn(part));
    if (idle.length === 0) return;
    this.#leaving = [...this.#leaving, ...idle];
    try {
      await this.#plan.giveBack(name, idle);
    } finally {
      this.#leaving = this.#leaving.filter((part) => !idle.includes(part));
    }
  }

  async #giveBackAlone(address: string): Promise<void> {
    const block = this.#plan.all.find((each) => cidrContains(parseCidr(each.spec.cidr), address));
    if (block === undefined) return;
    this.#parts.cooling.remove(address); // others know nothing of it, nor need to: its routes change with its node
    await this.#giveBack(block.metadata.name, [hostCidr(address)]).catch((error: unknown) => {
      this.#parts.log.warn("address is not given back yet", { address, error: renderError(error) });
    });
  }

  #busy(): ReadonlySet<string> {
    return new Set([...this.#used, ...this.#parts.cooling.all()]);
  }

  #busyIn(part: Cidr): boolean {
    for (const address of this.#busy()) if (cidrContains(part, address)) return true;
    return false;
  }
}

/** The growth goes on where it takes too long. */
function inTime(growing: Promise<boolean>): Promise<boolean> {
  return within(growing, AbortSignal.timeout(growWithinMs), () => {
    const text = `no answer from the server for ${growWithinMs / 1_000} s`;
    return new MeshError("ipam.plan.silent", text, { retryable: true });
  });
}
