/**
 * HPACK's Huffman code (RFC 7541 Appendix B), decoded four bits at a time.
 *
 * The code is canonical: symbols in the order of their lengths, then of their values, have consecutive codes. So the
 * lengths are all there is to know. From them a machine is made whose states are the inner nodes of the code's tree; a
 * step takes four bits and gives at most one symbol, since no code is shorter than five.
 *
 * Not here: encoding. We send text as it is: what repeats is sent as an index, and for the rest saving a fifth of its
 * bytes on a mesh's links is not worth the time.
 */

/** Lengths in bits of the symbols 0–255 and of the end-of-string symbol, in base 36. */
const lengths =
  "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca" +
  "d67777777777777777777777878djde6f56565666577666567655677777fbeds" +
  "kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn" +
  "qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu";

const endOfString = 256;

// A step's result: the next state in the lower half, the symbol plus one above it, and two flags.
const symbolShift = 9;
const stateMask = 0x1ff;
const failed = 1 << 30;

const steps = new Int32Array(256 * 16);
/** Per state: whether the bits since the last symbol are a proper end, fewer than eight and all ones. */
const mayEnd = new Uint8Array(256);
buildMachine();

function buildMachine(): void {
  const children: number[][] = [[]]; // per node: child for 0, child for 1; a leaf is -1 - symbol
  const depthOfOnes: number[] = [0];
  let code = 0;
  let length = 0;
  const symbols = [...Array(endOfString + 1).keys()].sort(
    (a, b) => lengthOf(a) - lengthOf(b) || a - b,
  );
  for (const symbol of symbols) {
    code *= 2 ** (lengthOf(symbol) - length);
    length = lengthOf(symbol);
    addLeaf(children, depthOfOnes, symbol, code, length);
    code++;
  }
  for (let state = 0; state < children.length; state++) {
    mayEnd[state] = (depthOfOnes[state] ?? 8) < 8 ? 1 : 0;
    for (let nibble = 0; nibble < 16; nibble++) {
      steps[state * 16 + nibble] = stepOf(children, state, nibble);
    }
  }
}

function lengthOf(symbol: number): number {
  return Number.parseInt(lengths.charAt(symbol), 36);
}

/** Puts a leaf at the end of the path that `code` describes, with the inner nodes on the way to it. */
function addLeaf(
  children: number[][],
  depthOfOnes: number[],
  symbol: number,
  code: number,
  length: number,
): void {
  let node = 0;
  for (let bit = length - 1; bit > 0; bit--) {
    const side = Math.floor(code / 2 ** bit) % 2;
    let next = children[node]?.[side];
    if (next === undefined) {
      next = children.length;
      children.push([]);
      const ones = depthOfOnes[node] ?? 8;
      depthOfOnes.push(side === 1 ? ones + 1 : 8); // a zero among them: no padding
      const parent = children[node];
      if (parent !== undefined) parent[side] = next;
    }
    node = next;
  }
  const last = children[node];
  if (last !== undefined) last[code % 2] = -1 - symbol;
}

function stepOf(children: readonly (readonly number[])[], state: number, nibble: number): number {
  let node = state;
  let emitted = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const next = children[node]?.[(nibble >> bit) & 1];
    if (next === undefined || next === -1 - endOfString) return failed;
    if (next < 0) {
      emitted = -next;
      node = 0;
    } else node = next;
  }
  return (emitted << symbolShift) | node;
}

/** Longest text that `length` encoded bytes can stand for: no code is shorter than five bits. */
export function maxDecodedBytes(length: number): number {
  return Math.ceil((length * 8) / 5);
}

/**
 * Decodes `bytes[start, end)` into `out`, which has room for `maxDecodedBytes`. Answers how many bytes there are; -1
 * when it is no proper code (the end-of-string symbol, or padding that is too long or not all ones; RFC 7541 §5.2).
 */
export function decodeHuffman(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
): number {
  let state = 0;
  let length = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    let step = steps[state * 16 + (byte >> 4)] ?? failed;
    if (step === failed) return -1;
    if (step >> symbolShift !== 0) out[length++] = (step >> symbolShift) - 1;
    step = steps[(step & stateMask) * 16 + (byte & 15)] ?? failed;
    if (step === failed) return -1;
    if (step >> symbolShift !== 0) out[length++] = (step >> symbolShift) - 1;
    state = step & stateMask;
  }
  return mayEnd[state] === 1 ? length : -1;
}
