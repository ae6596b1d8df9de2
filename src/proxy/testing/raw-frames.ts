/** HTTP/2's frames as bytes, written by hand and read one by one. */

import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly payload: Buffer;
}

/** All frames that come; `until` resolves once one is as wanted. */
export function readFrames(socket: Socket): {
  readonly seen: readonly Frame[];
  readonly until: (isWanted: (frame: Frame) => boolean) => Promise<void>;
} {
  const seen: Frame[] = [];
  let held = Buffer.alloc(0);
  socket.on("data", (bytes: Buffer) => {
    held = Buffer.concat([held, bytes]);
    while (held.length >= 9 && held.length >= 9 + held.readUIntBE(0, 3)) {
      const end = 9 + held.readUIntBE(0, 3);
      const [type = 0, flags = 0] = held.subarray(3, 5);
      seen.push({ type, flags, payload: held.subarray(9, end) });
      held = held.subarray(end);
    }
  });
  const until = async (isWanted: (frame: Frame) => boolean) => {
    while (!seen.some(isWanted)) await delay(1);
  };
  return { seen, until };
}

/** `payload`: in hexadecimal digits. */
export function hexFrame(type: number, flags: number, stream: number, payload: string): Buffer {
  const bytes = Buffer.from(payload, "hex");
  const head = Buffer.alloc(9);
  head.writeUIntBE(bytes.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, bytes]);
}
