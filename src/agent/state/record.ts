/**
 * What the agent must remember of one attachment, as it stands on disk.
 *
 * Boot, namespace inode and cookie say whether the record still means something; `phase` says how far ADD came: a
 * record that a restarted agent finds in `adding` belongs to a call that nobody was told the end of, and is undone; one
 * in `removing` was being released, which is gone on with.
 */

import { isRecord } from "../../base/json.ts";
import type { ProcessId } from "../../kernel/process-id.ts";
import type { Attachment, CaptureView, SidecarMode } from "../../model/node-view.ts";

export interface AttachmentRecord {
  readonly version: 1;
  readonly attachment: Attachment;
  /** Name of the CNI network that it was added to: what GC is about. */
  readonly network: string;
  readonly bootId: string;
  readonly netnsInode: number;
  /**
   * The kernel's number of the namespace, which it gives once; absent in records of before, and on Linux before 5.14.
   */
  readonly netnsCookie?: string;
  readonly phase: "adding" | "added" | "removing";
  /** The agent made the Pod object itself, because the runtime knows no pods, and deletes it with the attachment. */
  readonly ownsPod: boolean;
  /** What the sidecar speaks for; undefined where the pod has none. */
  readonly sidecar?: SidecarRecord;
}

export interface SidecarRecord {
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  /** It serves the pod's ports; nothing is captured. */
  readonly gateway?: boolean;
  /** What of the pod's TCP it takes, since the pod was made; undefined: all. */
  readonly capture?: CaptureView;
  /** What the pod asks for; undefined: as the node does. */
  readonly mode?: SidecarMode;
  /** Undefined until it was given a process. */
  readonly process?: ProcessId;
  /** Name of the worker that the process is; undefined: it is the pod's alone. */
  readonly worker?: string;
}

/** Throws SyntaxError saying which field is not as it was written. */
export function parseRecord(text: string): AttachmentRecord {
  const value: unknown = JSON.parse(text);
  if (!isRecord(value) || value["version"] !== 1) throw new SyntaxError("version: want 1");
  const attachment = value["attachment"];
  if (!isRecord(attachment)) throw new SyntaxError("attachment: want an object");
  const addresses = attachment["addresses"] ?? [attachment["address"]]; // one, in records of before there were two
  if (!Array.isArray(addresses) || addresses.length === 0 || !addresses.every(isText)) {
    throw new SyntaxError("attachment.addresses: want a list of texts");
  }
  for (const field of attachmentFields) {
    if (typeof attachment[field] !== "string") {
      throw new SyntaxError(`attachment.${field}: want a text`);
    }
  }
  for (const [field, type] of Object.entries(recordFields)) {
    if (typeof value[field] !== type) throw new SyntaxError(`${field}: want a ${type}`);
  }
  const { netnsCookie = "" } = value;
  if (!isText(netnsCookie)) throw new SyntaxError("netnsCookie: want a text");
  return { ...value, attachment: { ...attachment, addresses } } as unknown as AttachmentRecord;
}

const attachmentFields: readonly (keyof Attachment)[] = [
  "containerId",
  "ifName",
  "netns",
  "namespace",
  "name",
  "uid",
  "hostLink",
  "mac",
];

const recordFields = {
  network: "string",
  bootId: "string",
  netnsInode: "number",
  phase: "string",
  ownsPod: "boolean",
} as const;

function isText(value: unknown): boolean {
  return typeof value === "string";
}
