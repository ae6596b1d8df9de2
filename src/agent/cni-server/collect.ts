/**
 * GC: attachments that the runtime no longer lists are released. Those of dead containers are in dead-pods.ts.
 *
 * What is left of one is in no other's way: all are tried, and the answer names those that could not be released.
 */

import { renderError } from "../../base/error.ts";
import { CniError, cniCodes } from "../../wire/cni/error.ts";
import type { AttachmentKey, CniRequest } from "../../wire/cni/request.ts";
import { keyText } from "../attachments.ts";
import type { NodeParts } from "../node-parts.ts";
import type { AttachmentRecord } from "../state/record.ts";

type GcRequest = Extract<CniRequest, { command: "GC" }>;

/** `release` is called for one after the other; throws code 11 with what each of them failed for. */
export async function collect(
  request: GcRequest,
  parts: NodeParts,
  release: (key: AttachmentKey) => Promise<void>,
): Promise<void> {
  const doomed = unlisted(request, parts);
  const failures: string[] = [];
  for (const { attachment } of doomed) {
    try {
      await release(attachment);
    } catch (error) {
      const { ifName, containerId } = attachment;
      failures.push(`${ifName} of container ${containerId}: ${renderError(error)}`);
    }
  }
  if (failures.length === 0) return;
  throw new CniError(
    cniCodes.tryAgainLater,
    `collect attachments of network ${request.config.name}: ${failures.length} of ${doomed.length} are not released: ${failures.join("; ")}`,
  );
}

/** Attachments of the request's network that the runtime no longer knows. Without a list nothing is known. */
function unlisted(request: GcRequest, parts: NodeParts): readonly AttachmentRecord[] {
  if (request.valid === undefined) return [];
  const valid = new Set(request.valid.map(keyText));
  return parts.attachments
    .all()
    .filter((each) => each.network === request.config.name && !valid.has(keyText(each.attachment)));
}
