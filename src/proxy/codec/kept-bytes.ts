/**
 * Copies of bytes that outlive the read in which they came: each in memory of its own.
 *
 * Node hands out small buffers (`Buffer.from`, `allocUnsafe`, `concat`) as parts of 64 KiB that many share, all of which
 * stays for as long as one part is in use. A peer that has said a few bytes and waits would hold that much, and no limit
 * that counts bytes would see it. Memory of one's own costs a microsecond more to get: what is done with by the end
 * of the turn is better off with Node's.
 */

/** `bytes[start, end)`. */
export function keptCopy(bytes: Uint8Array, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(end - start);
  copy.set(bytes.subarray(start, end));
  return copy;
}

/** What was kept `before`, and `bytes[start, end)` behind it. */
export function keptBehind(
  before: Buffer | undefined,
  bytes: Uint8Array,
  start: number,
  end: number,
): Buffer {
  if (before === undefined) return keptCopy(bytes, start, end);
  const all = Buffer.allocUnsafeSlow(before.length + end - start);
  all.set(before);
  all.set(bytes.subarray(start, end), before.length);
  return all;
}
