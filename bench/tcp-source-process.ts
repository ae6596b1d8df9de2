/**
 * Sends as fast as the other end takes it: `tcp-source-process.ts PORT CONNECTIONS SECONDS`. Prints one line of JSON: the
 * bytes that left, and the seconds that it took.
 */

import { connect, type Socket } from "node:net";
import { performance } from "node:perf_hooks";

const [port = "", connections = "", seconds = ""] = process.argv.slice(2);
const chunk = Buffer.alloc(256 * 1024, 120);
const sockets: Socket[] = [];

for (let i = 0; i < Number(connections); i++) {
  const socket = connect({ host: "127.0.0.1", port: Number(port) });
  sockets.push(socket);
  const send = () => {
    while (socket.write(chunk));
  };
  socket.on("connect", send).on("drain", send);
  // Bytes that nobody takes any more would count as carried.
  socket.on("close", () => {
    throw new Error(`port ${port}: a connection was closed`);
  });
}
const startedAt = performance.now();
setTimeout(() => {
  const bytes = sockets.reduce(
    (sum, { bytesWritten, writableLength }) => sum + bytesWritten - writableLength,
    0,
  );
  const took = (performance.now() - startedAt) / 1000;
  process.stdout.write(`${JSON.stringify({ bytes, seconds: took })}\n`, () => process.exit());
}, Number(seconds) * 1000);
