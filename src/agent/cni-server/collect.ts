/** GC: which attachments go because the runtime no longer lists them. Those of dead containers are in dead-pods.ts. */

import type { CniRequest } from "../../wire/cni/request.ts";
import { keyText } from "../attachments.ts";
import type { NodeParts } from "../node-parts.ts";
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
