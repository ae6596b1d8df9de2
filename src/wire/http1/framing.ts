/** How long a message's body is: the decision table of RFC 9112 §6.3. */

import type { HeadParser } from "./head.ts";

export type Framing =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly bytes: number }
  | { readonly kind: "chunked" }
  /** Everything until the peer closes; responses only. */
  | { readonly kind: "close" };

const none: Framing = { kind: "none" };
const chunked: Framing = { kind: "chunked" };
const untilClose: Framing = { kind: "close" };

export function requestFraming(head: HeadParser): Framing {
  if (head.isChunked) return chunked;
  if (head.contentLength > 0) return { kind: "length", bytes: head.contentLength };
  return none;
}

/** `method` is that of the request it answers; a 101 or a 2xx to CONNECT ends HTTP and is the caller's to tunnel. */
export function responseFraming(head: HeadParser, method: string): Framing {
  const { status } = head;
  if (method === "HEAD" || status < 200 || status === 204 || status === 304) return none;
  if (head.isChunked) return chunked;
  if (head.contentLength >= 0) {
    return head.contentLength === 0 ? none : { kind: "length", bytes: head.contentLength };
  }
  return untilClose;
}
