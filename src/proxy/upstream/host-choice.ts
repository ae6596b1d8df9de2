/**
 * Which of a cluster's hosts a request gets: the picker over those that may be used, made anew with whatever changes.
 *
 * Who picks sees one picker, which is exchanged in one step. While weights grow (slow start) there is another one now
 * and then, made when one is asked.
 *
 * Not here: how a picker picks (balancer/), which hosts there are (cluster.ts), and how fit they are (host.ts).
 */

import type { Cluster } from "../../model/proxy-config.ts";
import type { Environment } from "../environment.ts";
import { mix } from "./balancer/hash.ts";
import { levelPicker } from "./balancer/levels.ts";
import { createPicker, type Picker } from "./balancer/picker.ts";
import { type SubsetName, SubsetPicker } from "./balancer/subsets.ts";
import type { Host } from "./host.ts";
import { warmth } from "./slow-start.ts";
import { untriedBeside } from "./untried.ts";

/** What a request has had, and is better not given again. */
export interface Tried {
  readonly hosts: readonly Host[] | undefined;
  /** Left out as long as a host of another one may be used. */
  readonly priorities: ReadonlySet<number> | undefined;
}

const maxPicks = 5;
/** How finely weights grow in slow start: steps a window, and how long one lasts at least. */
const warmUpSteps = 20;
const minStepMs = 100;

export class HostChoice {
  readonly #environment: Environment;
  #config: Cluster;
  #hosts: readonly Host[] = [];
  #overprovisioningPercent = 0;
  #picker: Picker<Host>;
  /** The picker, where hosts have parts. */
  #parts: SubsetPicker<Host> | undefined;
  /** Of the other priorities: by those that are left out, for each part. */
  #others = new WeakMap<readonly Host[], Map<string, Picker<Host>>>();
  /** Some host may only be picked while it has nothing to do. */
  #hasProbation = false;
  /** When weights have grown enough for another picker; 0: they do not grow. */
  #renewAt = 0;

  /** Of no hosts, until it is renewed. */
  constructor(config: Cluster, environment: Environment) {
    this.#config = config;
    this.#environment = environment;
    this.#picker = createPicker<Host>(config.balancer, [], environment.random);
  }

  /** `hosts`: all of them, as they are now. */
  renew(config: Cluster, hosts: readonly Host[], overprovisioningPercent: number): void {
    this.#config = config;
    this.#hosts = hosts;
    this.#overprovisioningPercent = overprovisioningPercent;
    this.#hasProbation = hosts.some((host) => host.isUsable && host.health.isOnProbation);
    this.#warmUp();
    this.#others = new WeakMap();
    const { subsets, panicPercent = 0 } = config;
    const pickerOf = (part: readonly Host[]) => this.#pickerOf(part, panicPercent);
    this.#parts = subsets && new SubsetPicker(subsets, hosts, pickerOf);
    this.#picker = this.#parts ?? pickerOf(hosts);
  }

  #pickerOf(hosts: readonly Host[], panicPercent: number): Picker<Host> {
    const { balancer, subsets } = this.#config;
    const { random } = this.#environment;
    // Envoy's rule: what a locality weighs is said of all of it, and not of its part of a part.
    const isLocalityWeighted = this.#config.isLocalityWeighted === true && subsets === undefined;
    if (isLocalityWeighted || hosts.some(({ priority }) => priority > 0)) {
      const overprovisioningPercent = this.#overprovisioningPercent;
      const levelling = { overprovisioningPercent, panicPercent, isLocalityWeighted };
      return levelPicker(balancer, hosts, levelling, random);
    }
    const fit = hosts.filter((host) => host.isUsable);
    const usable = fit.length * 100 < panicPercent * hosts.length ? hosts : fit;
    return createPicker(balancer, usable, random);
  }

  /** Weights as they are now. */
  #warmUp(): void {
    const { slowStart, balancer } = this.#config;
    this.#renewAt = 0;
    const isHashing = balancer.kind === "ring-hash" || balancer.kind === "maglev";
    const now = this.#environment.now();
    for (const host of this.#hosts) {
      // Consistent hashing would move keys with every step.
      host.warmth = slowStart === undefined || isHashing ? 1 : warmth(slowStart, now - host.since);
      if (host.warmth < 1 && slowStart !== undefined) {
        this.#renewAt = now + Math.max(minStepMs, slowStart.windowMs / warmUpSteps);
      }
    }
  }

  /**
   * `key`: what consistent hashing goes by; `wanted`: the part of the hosts that is meant. Undefined: there is none to be
   * used.
   */
  pick(
    tried: Tried | undefined,
    key: number | undefined,
    wanted: SubsetName | undefined,
  ): Host | undefined {
    const { now } = this.#environment;
    if (this.#renewAt !== 0 && now() >= this.#renewAt) {
      this.renew(this.#config, this.#hosts, this.#overprovisioningPercent);
    }
    const avoid = tried?.hosts;
    if (tried?.priorities !== undefined) {
      const others = this.#without(tried.priorities, wanted);
      const host = this.#pickFrom(others, avoid, key, wanted);
      if (host !== undefined) return host;
    }
    return this.#pickFrom(this.#picker, avoid, key, wanted);
  }

  #pickFrom(
    picker: Picker<Host>,
    avoid: readonly Host[] | undefined,
    key: number | undefined,
    wanted: SubsetName | undefined,
  ): Host | undefined {
    let host = picker.pick(key, wanted);
    if (avoid === undefined && !this.#hasProbation) return host;
    // Istio's previous-hosts predicate: up to five picks for one that has not been tried, then whichever has not. A
    // key's next choices are the same in every sidecar, too.
    for (let i = 1; i < maxPicks && host !== undefined; i++) {
      if (avoid?.includes(host) !== true && !host.isBeingTried) break;
      host = picker.pick(key === undefined ? undefined : mix(key + i), wanted);
    }
    if (host === undefined || avoid?.includes(host) !== true) return host;
    return untriedBeside(host, this.#membersOf(wanted), avoid, this.#environment.random) ?? host;
  }

  #membersOf(wanted: SubsetName | undefined): readonly Host[] {
    return this.#parts?.members(wanted) ?? this.#hosts;
  }

  /** The others share what these would have taken, by health as ever; of those that are ill none is used. */
  #without(priorities: ReadonlySet<number>, wanted: SubsetName | undefined): Picker<Host> {
    const members = this.#membersOf(wanted);
    const name = [...priorities].toSorted((a, b) => a - b).join();
    const pickers = this.#others.get(members) ?? new Map<string, Picker<Host>>();
    this.#others.set(members, pickers);
    let picker = pickers.get(name);
    if (picker === undefined) {
      const others = members.filter(({ priority }) => !priorities.has(priority));
      picker = this.#pickerOf(others, 0);
      pickers.set(name, picker);
    }
    return picker;
  }
}
