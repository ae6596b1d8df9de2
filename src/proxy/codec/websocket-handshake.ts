/**
 * How a WebSocket opens in HTTP/1.1, and the proof by which a client there knows that its server speaks it (RFC 6455
 * §4). HTTP/2 has no such proof (RFC 8441 §5), so that whoever translates asks for it on one side, or gives it on the
 * other.
 */

import { createHash, randomBytes } from "node:crypto";
import type { Exchange } from "../stack/exchange.ts";
import type { Head } from "../stack/head.ts";
import { bodilessResponseDrops, keptFields, upgradeResponseDrops } from "./heads.ts";

const serversText = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

export function newWebSocketKey(): string {
  return randomBytes(16).toString("base64");
}

/** `Sec-WebSocket-Accept` for a key. */
export function webSocketAccept(key: string): string {
  return createHash("sha1")
    .update(key + serversText)
    .digest("base64");
}

/** The answer to a client of HTTP/1.1, whatever the endpoint's was in. */
export function switchingHead({ webSocketKey = "" }: Exchange, head: Head, text: string): string {
  const last = "connection: upgrade\r\n\r\n";
  if (head.status === 101) {
    const status = text.slice(head.lineStart + "HTTP/1.1".length, head.startLineEnd + 2);
    return `HTTP/1.1${status}${keptFields(head, text, upgradeResponseDrops)}${last}`;
  }
  const accept = webSocketAccept(webSocketKey);
  const kept = keptFields(head, text, bodilessResponseDrops);
  return `HTTP/1.1 101 Switching Protocols\r\n${kept}upgrade: websocket\r\nsec-websocket-accept: ${accept}\r\n${last}`;
}
