/**
 * One hash for names that must be short and always the same: link names, hardware addresses, identity numbers.
 *
 * Two 32-bit multiply-and-xor lanes (in the manner of cyrb53), so that it needs neither BigInt nor a platform's
 * crypto. Good at spreading, not against somebody who looks for collisions: never use it where that matters.
 */

/** 53 bits of `text`: a non-negative integer that a double holds exactly. */
export function hashText(text: string, seed = 0): number {
  let high = 0xdeadbeef ^ seed;
  let low = 0x41c6ce57 ^ seed;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    high = Math.imul(high ^ code, 2654435761);
    low = Math.imul(low ^ code, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return 4294967296 * (2097151 & low) + (high >>> 0);
}

/** The last `digits` hexadecimal digits of the hash; at most 13. */
export function hashHex(text: string, digits: number, seed = 0): string {
  return hashText(text, seed).toString(16).padStart(14, "0").slice(-digits);
}
