/**
 * Attachments whose container ended without a DEL, as the kernel shows them: what GC is for runtimes that never call
 * it.
 *
 * Runtimes that end a container while no agent answers are the usual reason. The namespace loses its path first; it and
 * the link live on for as long as a process is in it.
 */

import type { KernelDriver } from "../../kernel/driver.ts";
import type { NodeParts } from "../node-parts.ts";
import { netnsInode } from "../state/host.ts";
import type { AttachmentRecord } from "../state/record.ts";

/** The namespace that was attached is not at its path any more: a reboot, or the container's end. */
export function isDead(
  record: AttachmentRecord,
  { bootId, driver }: Pick<NodeParts, "bootId" | "driver">,
): boolean {
  return record.bootId !== bootId || !isAtItsPath(record, driver);
}

/**
 * Whether the namespace at the record's path is the one that was attached. Of the same boot's. A cookie that cannot be
 * asked for now tells nothing, for nobody's pod ends because the agent has no descriptor left.
 */
export function isAtItsPath(
  { attachment: { netns }, netnsInode: inode, netnsCookie: cookie }: AttachmentRecord,
  driver: Pick<KernelDriver, "netnsCookie">,
): boolean {
  if (netnsInode(netns) !== inode) return false;
  if (cookie === undefined) return true;
  const found = driver.netnsCookie(netns);
  return found === undefined || found === cookie;
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
