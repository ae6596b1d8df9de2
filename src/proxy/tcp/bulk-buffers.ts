/**
 * Large read buffers, lent to connections while they carry much.
 *
 * A connection that reads 256 KiB at a time costs a tenth of the system calls of one that reads 16 KiB, but ten
 * thousand of them idle would hold 2.5 GB. So the buffers belong to nobody: a reader borrows one when a read was large,
 * and gives it back after one that was not.
 */

const bulkBytes = 256 * 1024;
/** Beyond so many that wait, a returned one is let go. */
const maxWaiting = 8;

const waiting: Buffer[] = [];

export function borrowBulkBuffer(): Buffer {
  return waiting.pop() ?? Buffer.allocUnsafeSlow(bulkBytes);
}

/** Nobody reads or writes it any more. */
export function returnBulkBuffer(buffer: Buffer): void {
  if (waiting.length < maxWaiting) waiting.push(buffer);
}
