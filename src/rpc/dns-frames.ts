/** DNS over TCP (RFC 1035 §4.2.2): each message after its length in two bytes. */

import type { Socket } from "node:net";

export interface Frames {
  /** No message is told from now on, and none read that is not here. */
  pause(): void;
  /** Tells what is here, then reads on. */
  resume(): void;
}

/** Calls `onMessage` for each complete message. Buffers at most one message and what came with it. */
export function readFrames(socket: Socket, onMessage: (bytes: Uint8Array) => void): Frames {
  let rest: Buffer = Buffer.alloc(0);
  let isPaused = false;
  const tell = () => {
    while (!isPaused && rest.length >= 2) {
      const end = 2 + rest.readUInt16BE(0);
      if (rest.length < end) return;
      const message = rest.subarray(2, end);
      rest = rest.subarray(end);
      onMessage(message);
    }
  };
  socket.on("data", (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    tell();
  });
  return {
    pause() {
      isPaused = true;
      socket.pause();
    },
    resume() {
      if (!isPaused) return;
      isPaused = false;
      tell();
      if (!isPaused) socket.resume();
    },
  };
}

export function writeFrame(socket: Socket, bytes: Uint8Array): void {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  socket.write(Buffer.concat([length, bytes]));
}
