/**
 * GC and STATUS: what is no longer there goes, and whether an ADD could succeed now.
 *
 * GC knows two ways: the runtime's list of what is valid in one network, and, for runtimes that never call it, the
 * kernel itself: a namespace that is gone and a link that is gone with it.
 */

import { renderCidr } from "../../base/ip.ts";
import { CniError, cniCodes } from "../../wire/cni/error.ts";
import type { CniRequest } from "../../wire/cni/request.ts";
import { keyText } from "../attachments.ts";
import type { NodeParts } from "../node-parts.ts";
import { netnsInode } from "../state/host.ts";
import type { AttachmentRecord } from "../state/record.ts";

/** Attachments of the request's network that the runtime no longer knows. Without a list nothing is known. */
export function unlisted(
  request: Extract<CniRequest, { command: "GC" }>,
  parts: NodeParts,
): readonly AttachmentRecord[] {
  if (request.valid === undefined) return [];
  const valid = new Set(request.valid.map(keyText));
  return parts.attachments
    .all()
    .filter((each) => each.network === request.config.name && !valid.has(keyText(each.attachment)));
}

/** The namespace that was attached is not at its path any more: a reboot, or the container's end. */
export function isDead(record: AttachmentRecord, parts: Pick<NodeParts, "bootId">): boolean {
  return (
    record.bootId !== parts.bootId || netnsInode(record.attachment.netns) !== record.netnsInode
  );
}

const patienceMs = 20_000;

/**
 * Finds attachments whose container died without a DEL: their namespace's path is gone or is another namespace's.
 *
 * Where the link went with it, once is enough. A link that is still there has a namespace that is still alive (the
 * pod's own sidecar keeps it so): then another look, a while later, must find the same.
 */
export class DeadPods {
  /** By link: since when the namespace is missed. */
  #suspects: ReadonlyMap<string, number> = new Map();

  find(parts: NodeParts): readonly AttachmentRecord[] {
    const before = this.#suspects;
    const suspects = parts.attachments
      .all()
      .filter((each) => each.phase === "added" && isDead(each, parts));
    const now = parts.clock.now();
    const since = (each: AttachmentRecord) => before.get(each.attachment.hostLink) ?? now;
    this.#suspects = new Map(suspects.map((each) => [each.attachment.hostLink, since(each)]));
    if (suspects.length === 0) return [];
    const links = new Set(parts.driver.observe().links.map((link) => link.name));
    return suspects.filter(
      (each) => since(each) + patienceMs <= now || !links.has(each.attachment.hostLink),
    );
  }
}

/** Throws code 50 saying what an ADD would wait for in vain. */
export function requireReady(parts: NodeParts): void {
  const { dataplane, ipam } = parts;
  const faults: string[] = [];
  if (dataplane.views.get() === undefined) faults.push("no view from the server has arrived yet");
  else if (!dataplane.inSync) {
    faults.push(`kernel is not as wanted: ${dataplane.lastPlan?.error ?? "no plan applied"}`);
  }
  if (ipam.blocks.length === 0) faults.push("the node holds no address block");
  else if (!ipam.hasRoom) {
    faults.push(`all addresses of ${ipam.blocks.map(renderCidr).join(", ")} are in use`);
  }
  if (faults.length > 0) {
    throw new CniError(cniCodes.notAvailable, `node ${parts.node}: ${faults.join("; ")}`);
  }
}
