/**
 * What a proxy must know of gRPC (its PROTOCOL-HTTP2 document): which requests are calls, how long they may take, and
 * how to answer one that goes no further.
 */

import type { Exchange } from "../../stack/exchange.ts";
import { grpcStatusOf } from "../../stack/grpc-status.ts";
import { fieldValue, ownMark } from "../heads.ts";

const unitsMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** Marks the exchange where it is a call, and notes its deadline. */
export function readGrpc(exchange: Exchange): void {
  const { head, text } = exchange;
  const type = head.fieldAt(ownMark.contentType);
  if (type < 0) return;
  if (!isGrpcType(fieldValue(head, text, type))) return;
  exchange.isGrpc = true;
  const timeout = head.fieldAt(ownMark.grpcTimeout);
  if (timeout >= 0) exchange.grpcTimeoutMs = parseGrpcTimeout(fieldValue(head, text, timeout));
}

/** application/grpc, application/grpc+proto, with parameters or without; gRPC-Web is another protocol. */
export function isGrpcType(value: string): boolean {
  if (!value.startsWith("application/grpc")) return false;
  const next = value.charCodeAt("application/grpc".length);
  return Number.isNaN(next) || next === 43 || next === 59;
}

/** Milliseconds; undefined when it is no timeout of gRPC's: up to eight digits and a unit. */
export function parseGrpcTimeout(value: string): number | undefined {
  const parts = /^(\d{1,8})([HMSmun])$/.exec(value);
  const unit = unitsMs[parts?.[2] ?? ""];
  return parts === null || unit === undefined ? undefined : Number(parts[1]) * unit;
}

/** The only head of a call that ends here: "Trailers-Only". `code`: gRPC's; undefined: what the status is there. */
export function grpcReply(
  status: number,
  message: string,
  code: string = grpcStatusOf(status),
  type = "application/grpc",
): { readonly status: string; readonly lines: string } {
  const text = message === "" ? "" : `grpc-message: ${percentEncode(message)}\r\n`;
  return {
    status: code,
    lines: `content-type: ${type}\r\ngrpc-status: ${code}\r\n${text}`,
  };
}

/** gRPC: all but printable ASCII, and the percent sign, is escaped, byte by byte. */
function percentEncode(message: string): string {
  let out = "";
  for (const byte of Buffer.from(message)) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    out += isPlain
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
}
