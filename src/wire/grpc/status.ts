/** How a call of gRPC ended, as trailers say it. */

import { lineValue } from "../http2/lines.ts";

/** Index: gRPC's code. */
const names = [
  "ok",
  "cancelled",
  "unknown",
  "invalid-argument",
  "deadline-exceeded",
  "not-found",
  "already-exists",
  "permission-denied",
  "resource-exhausted",
  "failed-precondition",
  "aborted",
  "out-of-range",
  "unimplemented",
  "internal",
  "unavailable",
  "data-loss",
  "unauthenticated",
] as const;

export type GrpcStatusName = (typeof names)[number];

export interface GrpcStatus {
  readonly name: GrpcStatusName;
  /** The peer's words; may be empty. */
  readonly message: string;
}

/** Of trailers in HTTP/2's form, or of a head that is all there is. Undefined: they do not say. */
export function readStatus(lines: string): GrpcStatus | undefined {
  const code = lineValue(lines, "grpc-status");
  if (code === undefined) return undefined;
  const known = /^\d{1,2}$/.test(code) ? names[Number(code)] : undefined;
  return {
    name: known ?? "unknown",
    message: percentDecode(lineValue(lines, "grpc-message") ?? ""),
  };
}

/** What is not escaped as gRPC wants it is taken as it stands. */
function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
