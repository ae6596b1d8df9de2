/**
 * The loops that keep the node as wanted: one follows the views, one asks the kernel now and then.
 *
 * Views come complete or not at all, so nothing is deleted before the first. A view that the kernel refuses is tried
 * again a few times, then rejected by version, and what was in force before goes on; the next view or resync
 * repairs. The resync also finds the attachments of containers that died without a DEL.
 */

import { backoffMs } from "../base/backoff.ts";
import { renderError } from "../base/error.ts";
import type { Random } from "../base/random.ts";
import type { Attachment, NodeView } from "../model/node-view.ts";
import { isDead } from "./cni-server/dead-pods.ts";
import { release } from "./cni-server/delete.ts";
import { inTurn, isTurnTaken } from "./cni-server/in-turn.ts";
import type { ViewSource } from "./deps.ts";
import type { NodeParts } from "./node-parts.ts";
import type { AttachmentRecord } from "./state/record.ts";

const resyncMs = 30_000;
/** After a failure: soon, since a pod may wait for it. */
const repairMs = 1_000;
const retry = { baseMs: 50, maxMs: 1_000 };
const attempts = 4;

export async function followViews(
  views: ViewSource,
  parts: NodeParts,
  random: Random,
  signal: AbortSignal,
): Promise<void> {
  for await (const snapshot of views.snapshots(signal)) {
    await parts.dataplane.prepare(snapshot.view, signal);
    const error = await attempt(() => show(snapshot.view, parts), parts, random, signal);
    if (error === undefined) snapshot.accept();
    else snapshot.reject(renderError(error));
    parts.addresses.reconcile(snapshot.view, attached(parts));
  }
}

/** Compares the kernel with what is wanted, in peace rarely and after a failure soon, until the signal aborts. */
export async function resyncNowAndThen(parts: NodeParts, signal: AbortSignal): Promise<void> {
  let isTending = false;
  while (!signal.aborted) {
    await parts.clock
      .sleep(parts.dataplane.inSync ? resyncMs : repairMs, signal)
      .catch(() => undefined);
    const view = parts.dataplane.views.get();
    if (signal.aborted || view === undefined) continue;
    await releaseDead(parts, signal);
    // Nothing else waits for a server that does not answer.
    if (!isTending) {
      isTending = true;
      void tend(parts).finally(() => {
        isTending = false;
      });
    }
    parts.containerPods.retry();
    parts.attachments.writeOverdue();
    try {
      await parts.dataplane.resync();
    } catch (error) {
      parts.log.warn("kernel is not as wanted", { error: renderError(error) });
    }
    parts.addresses.reconcile(view, attached(parts));
  }
}

async function tend({ ipam, log }: NodeParts): Promise<void> {
  await ipam.tend().catch((error: unknown) => {
    log.warn("address plan is not looked after", { error: renderError(error) });
  });
}

/**
 * Containers whose namespace went without a DEL give back what they had, each in its turn. One that a call is at is
 * left to that call or the next look: an ADD releases what was there before, and may be waiting for the view that waits
 * for this.
 */
export async function releaseDead(parts: NodeParts, signal: AbortSignal): Promise<void> {
  const { attachments, turns } = parts;
  for (const { attachment } of parts.deadPods.find(parts)) {
    if (isTurnTaken(turns, attachment)) continue;
    await inTurn(turns, attachment, { interrupt: false, signal }, async () => {
      const record = attachments.get(attachment);
      // While the one before was released, another life of the container may have begun and this one ended.
      if (record?.attachment !== attachment || !isDead(record, parts)) return;
      const { namespace, name, addresses } = attachment;
      parts.log.warn("pod's namespace is gone without a DEL", {
        pod: `${namespace}/${name}`,
        addresses,
      });
      await releaseOrWarn(record, parts);
    });
  }
}

/**
 * What is left of one pod is in no other's way: a full disk must not end the agent. It stays, for the next look or its
 * DEL.
 */
export async function releaseOrWarn(record: AttachmentRecord, parts: NodeParts): Promise<void> {
  try {
    await release(record, parts);
  } catch (error) {
    const { namespace, name } = record.attachment;
    const pod = `${namespace}/${name}`;
    parts.log.warn("pod is not released yet", { pod, error: renderError(error) });
  }
}

function show(view: NodeView, parts: NodeParts): void {
  try {
    parts.dataplane.show(view);
  } finally {
    const { lastPlan } = parts.dataplane;
    if (lastPlan !== undefined && lastPlan.steps > 0) {
      parts.log.info("view applied", { ...lastPlan });
    }
  }
}

/** Undefined when one of the attempts got through; otherwise the last error. */
async function attempt(
  work: () => void,
  parts: NodeParts,
  random: Random,
  signal: AbortSignal,
): Promise<unknown> {
  let failure: unknown;
  for (let i = 0; i < attempts && !signal.aborted; i++) {
    try {
      work();
      return undefined;
    } catch (error) {
      failure = error;
      await releaseDead(parts, signal); // a link into a namespace that is gone would be refused for ever
      await parts.clock.sleep(backoffMs(i, retry, random), signal).catch(() => undefined);
    }
  }
  return failure ?? signal.reason;
}

function attached(parts: NodeParts): readonly Attachment[] {
  return parts.attachments.all().map((each) => each.attachment);
}
