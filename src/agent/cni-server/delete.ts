/**
 * DEL: what ADD gave is taken back, in the opposite order, whatever of it is still there. Only capture goes last, when
 * the link is gone: until then connections are refused, where else they would pass uncaptured.
 *
 * Runtimes call it more than once, late, with a namespace that is gone, and for a long time if it fails; so it goes on
 * past every step that does, and only fails where a retry can help. The address starts to cool down when the kernel
 * no longer routes it. Records of a dead container (`release`) take the same way.
 */

import { renderError } from "../../base/error.ts";
import { nftTable } from "../../model/names.ts";
import type { AttachmentKey } from "../../wire/cni/request.ts";
import type { NodeParts } from "../node-parts.ts";
import type { AttachmentRecord } from "../state/record.ts";
import { isAtItsPath } from "./dead-pods.ts";

/** The same container's, by another interface. */
function isOther({ attachment, phase }: AttachmentRecord, of: AttachmentRecord): boolean {
  return (
    phase === "added" &&
    attachment.containerId === of.attachment.containerId &&
    attachment.ifName !== of.attachment.ifName
  );
}

/** Also one that only the record knows, because no agent adopted it: of a pod that was dead when this agent started. */
async function endSidecar(record: AttachmentRecord, parts: NodeParts): Promise<void> {
  const { attachment, sidecar, bootId } = record;
  if (parts.sidecars.get(attachment.containerId) !== undefined || sidecar === undefined) {
    await parts.sidecars.end(attachment.containerId);
    return;
  }
  // After a reboot the process's number is somebody else's.
  const { process, ...rest } = sidecar;
  const isAlive = process !== undefined && bootId === parts.bootId;
  await parts.sidecars.discard(attachment, isAlive ? sidecar : rest);
}

/** The kernel may have refused to remove the link; then the next resync does. */
function isLinked({ attachment }: AttachmentRecord, { dataplane, driver }: NodeParts): boolean {
  if (dataplane.inSync) return false;
  return driver.observe().links.some(({ name }) => name === attachment.hostLink);
}

/**
 * Nobody answers what is captured any more. What is at the path by now may be another's namespace, and what was added
 * meanwhile may need capture again.
 */
function uncapture(record: AttachmentRecord, parts: NodeParts): void {
  const { netns } = record.attachment;
  if (!isAtItsPath(record, parts.driver) || isLinked(record, parts)) return;
  if (parts.attachments.all().some((each) => isOther(each, record))) return;
  try {
    parts.driver.removeRulesetIn(netns, nftTable);
  } catch (error) {
    parts.log.warn("capture of a gone pod is not removed", { netns, error: renderError(error) });
  }
}

/**
 * What another network gave the container under the same name is not meant: a runtime calls DEL after an ADD that
 * failed.
 */
export async function del(key: AttachmentKey, network: string, parts: NodeParts): Promise<void> {
  const record = parts.attachments.get(key);
  if (record?.network === network) await release(record, parts);
}

/**
 * Everything of one attachment goes: sidecar, link and rules, connections, capture, record, address. A container's
 * sidecar stays while the container has another interface, whose record it is then written in.
 */
export async function release(record: AttachmentRecord, parts: NodeParts): Promise<void> {
  const { attachment } = record;
  const { attachments, dataplane, ipam, sidecars } = parts;
  attachments.note(attachment, { phase: "removing" }); // a pod goes from a node whose disk is full all the same
  const heir = attachments.all().find((each) => isOther(each, record));
  const isMeshed = record.sidecar !== undefined;
  if (isMeshed && heir === undefined) await endSidecar(record, parts);
  if (isMeshed && heir !== undefined) {
    attachments.note(heir.attachment, { sidecar: record.sidecar });
    sidecars.handOver(heir.attachment);
  }
  await dataplane.detach(attachment);
  if (isMeshed && heir === undefined) uncapture(record, parts);
  attachments.remove(attachment);
  ipam.release(attachment.addresses);
  const [next] = attachments.all().filter((each) => each.attachment.uid === attachment.uid);
  if (record.ownsPod && next === undefined) {
    parts.containerPods.unmake(attachment.namespace, attachment.name);
  }
  if (next === undefined) parts.addresses.withdraw(attachment, dataplane.views.get());
  else parts.addresses.publish(next.attachment);
}
