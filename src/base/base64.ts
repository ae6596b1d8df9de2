/**
 * Base64 (RFC 4648 §4) → text, for the pure layers, which have no Buffer. Line breaks and missing padding are taken.
 */

import { decodeUtf8 } from "./utf8.ts";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const values: ReadonlyMap<string, number> = new Map([...alphabet].map((char, at) => [char, at]));

/** Undefined where the text is not base64, or what it stands for is not UTF-8. */
export function textOfBase64(text: string): string | undefined {
  const bytes: number[] = [];
  let bits = 0;
  let count = 0;
  for (const char of text.replace(/\s/g, "").replace(/=+$/, "")) {
    const value = values.get(char);
    if (value === undefined) return undefined;
    bits = ((bits << 6) | value) & 0xffffff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push((bits >> count) & 0xff);
  }
  try {
    return decodeUtf8(Uint8Array.from(bytes));
  } catch {
    return undefined;
  }
}
