/**
 * The hash behind consistent balancing: MurmurHash3, 32 bits, over the text's UTF-16 units.
 *
 * The same text must hash alike in every sidecar and after every restart, or clients would lose their backend whenever
 * they meet another proxy. It is not secret: a client that picks its own key may pick its own backend.
 */

export function hashText(text: string, seed = 0): number {
  let h = seed | 0;
  for (let i = 0; i < text.length; i++) {
    let k = Math.imul(text.charCodeAt(i), 0xcc9e2d51);
    k = (k << 15) | (k >>> 17);
    h ^= Math.imul(k, 0x1b873593);
    h = (h << 13) | (h >>> 19);
    h = (Math.imul(h, 5) + 0xe6546b64) | 0;
  }
  return mix(h ^ text.length);
}

/** Spreads a number over all 32 bits: neighbours end up far apart. */
export function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
