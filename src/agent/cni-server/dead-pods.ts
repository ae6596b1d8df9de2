/**
 * Attachments whose container ended without a DEL, as the kernel shows them: what GC is for runtimes that never call it.
 *
 * Runtimes that end a container while no agent answers are the usual reason. The namespace loses its path first; it and
 * the link live on for as long as a process is in it.
 */

import type { NodeParts } from "../node-parts.ts";
import { netnsInode } from "../state/host.ts";
import type { AttachmentRecord } from "../state/record.ts";

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
      .filter((each) => each.phase !== "adding" && isDead(each, parts));
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
