/**
 * Rtnetlink queueing disciplines: one token bucket (tbf) at a link's root, set and listed.
 *
 * The kernel is given rate and burst in bytes and derives its own ticks, so that no table of times is computed here. A
 * queue holds what arrives within `queueMs` beyond the burst; what comes on top of that is dropped, which is how TCP
 * learns of the limit.
 */

import type { Rate } from "../../model/node-view.ts";
import { Attributes, concat, nest, raw, text, u32 } from "./attributes.ts";
import {
  malformed,
  type NetlinkRequest,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_REPLACE,
  viewOf,
} from "./message.ts";

const RTM_NEWQDISC = 36;
const RTM_GETQDISC = 38;

const TC_H_ROOT = 0xffffffff;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_TBF_PARMS = 1;
const TCA_TBF_RATE64 = 4;
const TCA_TBF_BURST = 6;
const TC_LINKLAYER_ETHERNET = 1;
const headBytes = 20;
/** `struct tc_tbf_qopt`: two `tc_ratespec` of 12 bytes, then limit, buffer, mtu. */
const parametersBytes = 36;
const rateOffset = 8;
const limitOffset = 24;

/** Longest wait in a full queue. More would only make every packet late; the reference plugin's figure. */
const queueMs = 25;
const largest32 = 0xffffffff;

/** A link's root queue, where it is a token bucket. */
export interface TokenBucket {
  readonly linkIndex: number;
  readonly bitsPerSecond: number;
}

export function replaceTokenBucket(linkIndex: number, rate: Rate): NetlinkRequest {
  const bytesPerSecond = Math.max(1, Math.floor(rate.bitsPerSecond / 8));
  const parameters = new Uint8Array(parametersBytes);
  const view = new DataView(parameters.buffer);
  view.setUint8(1, TC_LINKLAYER_ETHERNET);
  view.setUint32(rateOffset, Math.min(bytesPerSecond, largest32), true);
  const queued = Math.ceil((bytesPerSecond * queueMs) / 1_000) + rate.burstBytes;
  view.setUint32(limitOffset, Math.min(queued, largest32), true);
  return {
    type: RTM_NEWQDISC,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    payload: concat(
      header(linkIndex),
      text(TCA_KIND, "tbf"),
      nest(
        TCA_OPTIONS,
        raw(TCA_TBF_PARMS, parameters),
        u32(TCA_TBF_BURST, rate.burstBytes),
        ...(bytesPerSecond < largest32 ? [] : [raw(TCA_TBF_RATE64, u64(bytesPerSecond))]),
      ),
    ),
  };
}

/** Lists the queues of every link. */
export function dumpQueues(): NetlinkRequest {
  return { type: RTM_GETQDISC, flags: NLM_F_DUMP, payload: new Uint8Array(headBytes) };
}

/** Undefined for a queue that is no token bucket at a link's root. */
export function decodeTokenBucket(payload: Uint8Array): TokenBucket | undefined {
  if (payload.length < headBytes) throw malformed(`queue of ${payload.length} bytes`);
  const head = viewOf(payload);
  const attributes = new Attributes(payload, headBytes);
  const isRoot = head.getUint32(12, true) === TC_H_ROOT;
  if (!isRoot || attributes.text(TCA_KIND) !== "tbf") return undefined;
  const options = attributes.nested(TCA_OPTIONS);
  const parameters = options?.raw(TCA_TBF_PARMS);
  if (parameters === undefined || parameters.length < parametersBytes) {
    throw malformed(`token bucket of ${parameters?.length ?? 0} bytes`);
  }
  const wide = options?.raw(TCA_TBF_RATE64);
  const bytesPerSecond =
    wide?.length === 8
      ? Number(viewOf(wide).getBigUint64(0, true))
      : viewOf(parameters).getUint32(rateOffset, true);
  return { linkIndex: head.getInt32(4, true), bitsPerSecond: bytesPerSecond * 8 };
}

export interface Queue {
  readonly linkIndex: number;
  /** `noqueue`, `tbf`, `clsact` … */
  readonly kind: string;
}

export function decodeQueue(payload: Uint8Array): Queue {
  if (payload.length < headBytes) throw malformed(`queue of ${payload.length} bytes`);
  const kind = new Attributes(payload, headBytes).text(TCA_KIND) ?? "";
  return { linkIndex: viewOf(payload).getInt32(4, true), kind };
}

/** `struct tcmsg` of a link's root. */
function header(linkIndex: number): Uint8Array {
  const bytes = new Uint8Array(headBytes);
  const view = new DataView(bytes.buffer);
  view.setInt32(4, linkIndex, true);
  view.setUint32(12, TC_H_ROOT, true);
  return bytes;
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}
