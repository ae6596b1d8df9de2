/**
 * The node's state in the kernel: brought to what is wanted from what was applied last, or from what the kernel says it
 * has.
 *
 * The state applied last is remembered, so that a change costs its difference; after a failure it is forgotten and the
 * kernel is asked what it has.
 *
 * A pod's link outlives its namespace's path where a process, such as its sidecar, keeps the namespace alive; else it
 * goes at a moment that the kernel chooses, on a busy machine seconds later. Nobody can look into such a namespace any
 * more, and at the path may be another's by now: whether it is there or not, nothing is done to the link until the
 * attachment is released (cni-server/dead-pods.ts), and nothing else waits for it. Nor does anything wait for a link
 * that cannot be made because of what is in its pod: a pod with the right to do so can put anything in its interface's
 * place. Nor for the encrypted overlay's, which others' programs make: without it the node's pods still reach each
 * other.
 *
 * Not here: what is wanted, and by whom (dataplane.ts).
 */

import { renderError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { planNode } from "../core/dataplane/plan-node.ts";
import type { KernelDriver } from "../kernel/driver.ts";
import type { NodeState, Plan, Step } from "../model/node-state.ts";
import { Latest } from "./latest.ts";

export interface KernelStateParts {
  readonly driver: KernelDriver;
  /** Whether the namespace behind a link of ours is no longer at its path. */
  readonly isGone: (hostLink: string) => boolean;
  readonly log: Log;
}

export class KernelState {
  /** The state that was brought into the kernel last. */
  readonly inForce: Latest<NodeState> = new Latest();
  readonly #driver: KernelDriver;
  readonly #isGone: KernelStateParts["isGone"];
  readonly #log: Log;
  #applied: NodeState | undefined;
  #broken: Broken = none;

  constructor({ driver, isGone, log }: KernelStateParts) {
    this.#driver = driver;
    this.#isGone = isGone;
    this.#log = log;
  }

  /** Undefined when what the kernel has is not known. */
  get applied(): NodeState | undefined {
    return this.#applied;
  }

  /**
   * Links of pods, or the encrypted overlay's, that could not be made when the kernel was last asked what it has, and
   * why.
   */
  get broken(): Broken {
    return this.#broken;
  }

  /** The next change begins with asking the kernel. */
  doubt(): void {
    this.#applied = undefined;
  }

  /** Number of steps that it took. Links that are being attached must not fail, others may. */
  bring(wanted: NodeState, attaching: ReadonlySet<string>): number {
    try {
      const broken = this.#applied === undefined ? none : this.#broken;
      const observed = this.#applied ?? this.#observe(wanted);
      return this.#bring(wanted, observed, { attaching, broken });
    } catch (error) {
      // Somebody changed what is ours, or a pod its interface: look, and try again from there.
      this.#log.warn("kernel refused a plan, asking what it has", { error: renderError(error) });
      return this.#bringAround(wanted, attaching);
    }
  }

  /** On the way to a state that is to be in force. */
  bringPart(wanted: NodeState): void {
    this.#lead(wanted, this.#applied ?? this.#observe(wanted), { attaching: nobody, broken: none });
  }

  #observe(wanted: NodeState): NodeState {
    return this.#driver.observe(wanted.ruleset);
  }

  #lead(wanted: NodeState, observed: NodeState, links: Links): number {
    this.#applied = undefined;
    const plan = this.#planFor(wanted, observed, links);
    this.#log.debug("plan", { steps: plan.map((step) => step.kind) });
    this.#driver.apply(plan);
    this.#applied = wanted;
    return plan.length;
  }

  #bring(wanted: NodeState, observed: NodeState, links: Links): number {
    const steps = this.#lead(wanted, observed, links);
    const names = links.broken.size === 0 ? [] : wanted.links.map(({ name }) => name);
    this.#broken = new Map(
      [...links.broken].filter(([name]) => !links.attaching.has(name) && names.includes(name)),
    );
    this.inForce.set(wanted);
    return steps;
  }

  /**
   * From what is there, past the links of other pods that cannot be made; the next resync tries those again. More may
   * break while that is found out: it goes on for as long as each failure finds another.
   */
  #bringAround(wanted: NodeState, attaching: ReadonlySet<string>): number {
    let broken = none;
    for (;;) {
      try {
        return this.#bring(wanted, this.#observe(wanted), { attaching, broken });
      } catch (cause) {
        const found = this.#brokenLinks(wanted, { attaching, broken });
        if (found.size === 0) throw cause;
        broken = new Map([...broken, ...found]);
      }
    }
  }

  /** Those beyond the known ones, and why. */
  #brokenLinks(wanted: NodeState, links: Links): Broken {
    const plan = this.#planFor(wanted, this.#observe(wanted), links);
    // No link without its policy, here as everywhere.
    this.#driver.apply(plan.filter(({ kind }) => kind === "sysctl" || kind === "nft"));
    const found = new Map<string, string>();
    for (const step of plan) {
      if (step.kind !== "link-add" || step.link.kind === "vxlan") continue;
      const { name } = step.link;
      if (links.attaching.has(name)) continue;
      try {
        this.#driver.apply([step]);
      } catch (error) {
        found.set(name, renderError(error));
        this.#log.warn("link is not as wanted", { link: name, error: renderError(error) });
      }
    }
    return found;
  }

  #planFor(wanted: NodeState, observed: NodeState, { attaching, broken }: Links): Plan {
    const there = new Set(observed.links.map(({ name }) => name));
    const isLeftAlone = (link: string) =>
      !attaching.has(link) && (broken.has(link) || this.#isGone(link));
    return planNode(wanted, observed).filter((step) => {
      if (step.kind === "link-add") return !isLeftAlone(step.link.name);
      if (step.kind === "fast-path-put" && attaching.has(step.fastPath.link)) return false;
      const link = linkUnder(step);
      return link === undefined || there.has(link) || !isLeftAlone(link);
    });
  }
}

/** Links that are not as wanted, and why. */
export type Broken = ReadonlyMap<string, string>;

/** Which links of a plan are not like all others. */
interface Links {
  /** Somebody waits for them, so they must not fail. */
  readonly attaching: ReadonlySet<string>;
  /** Not touched. */
  readonly broken: Broken;
}

const none: Broken = new Map();
const nobody: ReadonlySet<string> = new Set();

/** The link that what a step puts would stand on. */
function linkUnder(step: Step): string | undefined {
  switch (step.kind) {
    case "address-add":
      return step.address.link;
    case "route-replace":
      return step.route.link;
    case "fast-path-put":
      return step.fastPath.link;
    default:
      return undefined; // neighbours and forwarding entries are the overlay's
  }
}
