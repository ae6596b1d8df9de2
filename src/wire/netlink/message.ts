/**
 * The framing of netlink: messages with a 16-byte header, packed one after the other and aligned to four bytes.
 *
 * Netlink is host-endian; Heddle runs on x86-64 and arm64, so everything here is little-endian unless a name says
 * otherwise. Decoders take what the kernel sent as outside data: lengths are checked, and whatever does not add up is
 * a MeshError, never an out-of-range read.
 *
 * Not here: sockets, sequence numbers and retries (kernel/netlink-socket.ts).
 */

import { MeshError } from "../../base/error.ts";

/** What a caller asks of the kernel; the socket adds sequence number and acknowledgement flags. */
export interface NetlinkRequest {
  readonly type: number;
  /** Beyond NLM_F_REQUEST, which is always set. */
  readonly flags: number;
  readonly payload: Uint8Array;
}

export interface NetlinkMessage extends NetlinkRequest {
  readonly sequence: number;
}

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;
/** On a dump's messages: the table changed while it was read. */
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;

const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;

const headerBytes = 16;

export function encodeMessage(message: NetlinkMessage): Uint8Array {
  const length = headerBytes + message.payload.length;
  const bytes = new Uint8Array(align4(length));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length, true);
  view.setUint16(4, message.type, true);
  view.setUint16(6, message.flags, true);
  view.setUint32(8, message.sequence, true);
  bytes.set(message.payload, headerBytes);
  return bytes;
}

/** The messages of one datagram. Payloads are views of `bytes`: decode them before the buffer is used again. */
export function decodeMessages(bytes: Uint8Array): NetlinkMessage[] {
  const view = viewOf(bytes);
  const messages: NetlinkMessage[] = [];
  let offset = 0;
  while (offset + headerBytes <= bytes.length) {
    const length = view.getUint32(offset, true);
    if (length < headerBytes || offset + length > bytes.length) {
      throw malformed(`message of ${length} bytes at ${offset} of ${bytes.length}`);
    }
    messages.push({
      type: view.getUint16(offset + 4, true),
      flags: view.getUint16(offset + 6, true),
      sequence: view.getUint32(offset + 8, true),
      payload: bytes.subarray(offset + headerBytes, offset + length),
    });
    offset += align4(length);
  }
  return messages;
}

/** What NLMSG_ERROR and NLMSG_DONE say: errno (0 is success), and the kernel's own words where it gave some. */
export interface Outcome {
  readonly errno: number;
  readonly text?: string;
}

/** Reads the outcome of an NLMSG_ERROR or NLMSG_DONE message. */
export function decodeOutcome(message: NetlinkMessage): Outcome {
  // Some dumps end with an empty NLMSG_DONE.
  if (message.payload.length < 4) return { errno: 0 };
  const view = viewOf(message.payload);
  const errno = -view.getInt32(0, true);
  if ((message.flags & NLM_F_ACK_TLVS) === 0) return { errno };
  const text = extendedText(message, view);
  return text === undefined ? { errno } : { errno, text };
}

/** The attributes of an extended acknowledgement stand after the request's header, or after all of the request. */
function extendedText(message: NetlinkMessage, view: DataView): string | undefined {
  let offset = 4;
  if (message.type === NLMSG_ERROR) {
    if (message.payload.length < 4 + headerBytes) return undefined;
    const capped = (message.flags & NLM_F_CAPPED) !== 0;
    offset += capped ? headerBytes : align4(view.getUint32(4, true));
  }
  while (offset + 4 <= message.payload.length) {
    const length = view.getUint16(offset, true);
    if (length < 4 || offset + length > message.payload.length) return undefined;
    if (view.getUint16(offset + 2, true) === NLMSGERR_ATTR_MSG) {
      return latin1(message.payload.subarray(offset + 4, offset + length));
    }
    offset += align4(length);
  }
  return undefined;
}

export function malformed(what: string): MeshError {
  return new MeshError("wire.netlink.malformed", `decode netlink: ${what}`, { fault: "host" });
}

export function align4(length: number): number {
  return (length + 3) & ~3;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Text up to the first NUL. The kernel's names are bytes; one character each keeps the mapping reversible. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}
