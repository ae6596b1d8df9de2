/**
 * The node's kernel state as a function of two inputs, the newest view and the attachments: compile, plan, apply.
 *
 * Every change, a new view as well as one more pod, takes this one path, and takes it in one go: compiling, planning
 * and the driver are synchronous, so no two changes can interleave and no packet sees half of one. A failed `attach` is
 * taken back before it rejects.
 *
 * A new pod gets the fast path soon after its ADD (fresh-paths.ts).
 *
 * Not here: when (reconcile.ts, cni-server), what the state is (core/dataplane), and how the kernel is brought to it
 * (kernel-state.ts).
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../base/clock.ts";
import type { Diagnostic } from "../base/compiled.ts";
import { MeshError, renderError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { compileNode } from "../core/dataplane/compile-node.ts";
import type { KernelDriver } from "../kernel/driver.ts";
import type { NodeState, PodInterface } from "../model/node-state.ts";
import type { Attachment, NodeView } from "../model/node-view.ts";
import { FreshPaths } from "./fresh-paths.ts";
import { GonePods } from "./gone-pods.ts";
import { growingViews } from "./growing-view.ts";
import { KernelState } from "./kernel-state.ts";
import { Latest } from "./latest.ts";
import { type PodChange, PodChanges } from "./pod-changes.ts";
import { StaleConnections } from "./stale-connections.ts";

export interface PlanReport {
  readonly at: number;
  readonly tookMs: number;
  readonly steps: number;
  readonly error?: string;
}

export interface DataplaneParts {
  readonly driver: KernelDriver;
  /** Those of before. */
  readonly attachments: readonly Attachment[];
  /** Whether the namespace behind a link of ours is no longer at its path. */
  readonly isGone: (hostLink: string) => boolean;
  readonly clock: Clock;
  readonly log: Log;
}

export class Dataplane {
  /** The newest view, for readers that wait for something to appear in it. */
  readonly views: Latest<NodeView> = new Latest();
  /** The state that was brought into the kernel last. */
  readonly inForce: Latest<NodeState>;
  /** Links of new pods, which have no fast path yet. */
  readonly freshPaths: FreshPaths = new FreshPaths();
  readonly #driver: KernelDriver;
  readonly #isGone: DataplaneParts["isGone"];
  readonly #kernel: KernelState;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #stale: StaleConnections;
  readonly #gonePods: GonePods;
  readonly #changes = new PodChanges((changes) => this.#change(changes));
  #attachments: ReadonlyMap<string, Attachment>;
  #diagnostics: readonly Diagnostic[] = [];
  #lastPlan: PlanReport | undefined;

  constructor({ driver, attachments, isGone, clock, log }: DataplaneParts) {
    this.#driver = driver;
    this.#isGone = isGone;
    this.#clock = clock;
    this.#log = log;
    this.#kernel = new KernelState({ driver, isGone, log });
    this.inForce = this.#kernel.inForce;
    this.#stale = new StaleConnections(driver, log);
    this.#gonePods = new GonePods(driver, clock, log);
    this.#attachments = new Map(attachments.map((each) => [each.hostLink, each]));
  }

  get lastPlan(): PlanReport | undefined {
    return this.#lastPlan;
  }

  get diagnostics(): readonly Diagnostic[] {
    return this.#diagnostics;
  }

  /** True while the kernel is known to have what is wanted. */
  get inSync(): boolean {
    return this.#kernel.applied !== undefined && this.views.get() !== undefined;
  }

  /** Links of pods that could not be made when the kernel was last asked what it has, and why. */
  get brokenLinks(): ReadonlyMap<string, string> {
    return this.#kernel.broken;
  }

  /**
   * What can be done for the first view in parts, with turns for everybody else in between: the table is read, and what
   * others' rules are; where there is no table of ours, many Services are brought there. The view does not count before
   * it is shown, so nobody is attached to a part of it. What fails is left to `show`.
   */
  async prepare(view: NodeView, signal: AbortSignal): Promise<void> {
    if (this.views.get() !== undefined) return;
    const features = this.#driver.features;
    const compile = (part: NodeView) =>
      compileNode(part, [...this.#attachments.values()], features).value;
    try {
      const isTableThere = this.#driver.hasTable();
      const isLarge = view.services.length >= manyServices;
      for (const part of isLarge ? growingViews(view, this.#clock) : []) {
        const wanted = compile(part); // remembers what it made of each Service
        if (!isTableThere) {
          await this.#read(wanted);
          this.#kernel.bringPart(wanted);
        }
        await nextTurn();
        if (signal.aborted) return;
      }
      const wanted = compile(view);
      await nextTurn();
      await this.#read(wanted);
    } catch (error) {
      this.#log.warn("first view is not prepared", { error: renderError(error) });
    }
  }

  /** Brings the kernel to a new view; the view counts even where that fails. */
  show(view: NodeView): void {
    this.views.set(view);
    this.#reconcile(view);
  }

  /**
   * Asks the kernel what it has, whatever was applied last, and repairs the difference. A table of Services is read in
   * parts, with turns for everybody else in between. Throws where the kernel refuses.
   */
  async resync(): Promise<void> {
    if (this.views.get() === undefined) return; // nothing is deleted before the first complete picture
    await this.#read(this.inForce.get());
    const view = this.views.get();
    if (view === undefined) return;
    this.#kernel.doubt();
    this.#reconcile(view);
  }

  /** So that little is left to be read at once. */
  async #read(expected: NodeState | undefined): Promise<void> {
    if (expected?.ruleset !== undefined) await this.#driver.readTable(expected.ruleset);
  }

  /** Connects one more pod: its policy and admission, then its link. Rejects with nothing left behind. */
  attach(attachment: Attachment): Promise<void> {
    return this.#changes.make({ kind: "attach", attachment });
  }

  /**
   * Disconnects a pod and forgets its connections. What the kernel refuses to remove now is left to the next resync,
   * and logged.
   */
  async detach(attachment: Attachment): Promise<void> {
    await this.#changes.make({ kind: "detach", attachment });
    await this.#gonePods.forget(attachment.addresses);
  }

  /** Throws with nothing left behind of one attached pod, and with whatever state of several. */
  #change(changes: readonly PodChange[]): void {
    const view = this.views.get();
    const before = this.#attachments;
    const after = changedBy(before, changes);
    const links = (kind: PodChange["kind"]) =>
      changes.flatMap((each) => (each.kind === kind ? [each.attachment.hostLink] : []));
    const attaching = new Set(links("attach"));
    if (view === undefined && attaching.size > 0) {
      throw new MeshError("agent.view.absent", "compile the node's state: no view has arrived", {
        retryable: true,
      });
    }
    this.#attachments = after;
    try {
      // Without a view nothing can be compiled; links go all the same, and the rest with the first view.
      if (view !== undefined) this.#reconcile(view, attaching);
      else this.#driver.apply(links("detach").map((name) => ({ kind: "link-delete", name })));
      this.freshPaths.add(attaching);
    } catch (error) {
      const [only, ...others] = changes;
      if (others.length > 0 || only?.kind === "attach") this.#attachments = before;
      if (others.length > 0) throw error;
      if (only?.kind === "attach") {
        this.#takeBack(only.attachment);
        throw error;
      }
      this.#notRemoved(only?.attachment, error);
    }
  }

  /** Puts the fast path on a pod's link, where both are still wanted. */
  accelerate(link: string): void {
    const fastPath = this.#kernel.applied?.fastPath?.find((each) => each.link === link);
    if (fastPath === undefined || this.#isGone(link)) return;
    try {
      this.#driver.apply([{ kind: "fast-path-put", fastPath }]);
    } catch (error) {
      this.#log.debug("pod has no fast path yet", { link, error: renderError(error) });
    }
  }

  #takeBack(attachment: Attachment): void {
    const view = this.views.get();
    try {
      if (view !== undefined) this.#reconcile(view);
    } catch (error) {
      this.#notRemoved(attachment, error);
    }
  }

  #notRemoved(attachment: Attachment | undefined, error: unknown): void {
    this.#log.warn("pod's link is not removed yet", {
      link: attachment?.hostLink,
      error: renderError(error),
    });
  }

  /** What the pod's side of the link is to be; undefined where the pod is not attached. */
  podInterface(hostLink: string): PodInterface | undefined {
    const link = this.#kernel.applied?.links.find((each) => each.name === hostLink);
    return link?.kind === "veth" ? link.peer : undefined;
  }

  /** Largest packet of a pod; undefined before anything was applied. */
  mtu(hostLink: string): number | undefined {
    return this.#kernel.applied?.links.find((each) => each.name === hostLink)?.mtu;
  }

  #reconcile(view: NodeView, attaching: ReadonlySet<string> = new Set()): void {
    const start = this.#clock.now();
    const wanted = compileNode(view, [...this.#attachments.values()], this.#driver.features);
    this.#diagnostics = wanted.diagnostics;
    let steps = 0;
    try {
      steps = this.#kernel.bring(wanted.value, attaching);
      this.#stale.forget(view);
      this.#report(start, steps);
    } catch (error) {
      this.#report(start, steps, renderError(error));
      throw error;
    }
  }

  #report(start: number, steps: number, error?: string): void {
    const now = this.#clock.now();
    this.#lastPlan = {
      at: now,
      tookMs: now - start,
      steps,
      ...(error === undefined ? {} : { error }),
    };
  }
}

/** Fewer are there within a tenth of a second. */
const manyServices = 250;

function changedBy(
  attachments: ReadonlyMap<string, Attachment>,
  changes: readonly PodChange[],
): ReadonlyMap<string, Attachment> {
  const after = new Map(attachments);
  for (const { kind, attachment } of changes) {
    const { hostLink } = attachment;
    if (kind === "detach") after.delete(hostLink);
    else if (after.has(hostLink)) {
      throw new MeshError("agent.link.taken", `link ${hostLink} belongs to another pod`);
    } else after.set(hostLink, attachment);
  }
  return after;
}
