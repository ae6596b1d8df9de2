/** What HTTP/2 heads know names and statuses by: the same marks as HTTP/1.1's parser gives. */

import { coreFields } from "../../../wire/http1/field-names.ts";
import type { Vocabulary } from "../../../wire/http2/translated-head.ts";
import { STATUS_CODES } from "../../node-http.ts";
import { watched } from "../heads.ts";

const names = [...coreFields, ...watched];

export const vocabulary: Vocabulary = {
  // TE can only be `trailers` here, is about the message and not about a connection, and gRPC wants it to arrive.
  marks: new Map(
    names.map((name, index) => [name, index + 1] as const).filter(([name]) => name !== "te"),
  ),
  markCount: names.length + 1,
  reasonOf: (status) => STATUS_CODES[status] ?? "",
};

export function readText(bytes: Uint8Array, start: number, end: number): string {
  return asBuffer(bytes).toString("latin1", start, end);
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return bytes instanceof Buffer
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
