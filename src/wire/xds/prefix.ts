/** Ranges of addresses: envoy.config.core.v3.CidrRange. */

import { parseCidr, renderCidr } from "../../base/ip.ts";
import { invalid, wrappedNumber } from "./field.ts";
import type * as wire from "./gen/message-types.ts";

/** `text`: `address/n`. */
export function encodePrefix(text: string): wire.CidrRange {
  const { address, prefixLength } = parseCidr(text);
  return { addressPrefix: address, prefixLen: { value: prefixLength } };
}

/** As `address/n`, without host bits. */
export function decodePrefix({ addressPrefix, prefixLen }: wire.CidrRange, path: string): string {
  const text = `${addressPrefix ?? ""}/${wrappedNumber(prefixLen, 0)}`;
  try {
    return renderCidr(parseCidr(text));
  } catch {
    throw invalid(path, `want a prefix, got "${text}"`);
  }
}
