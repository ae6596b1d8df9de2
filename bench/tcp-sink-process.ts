/** A TCP server that reads as fast as it can, into one buffer, and keeps nothing. Prints its port. */

import { type AddressInfo, createServer, Socket, type SocketConstructorOpts } from "node:net";

const buffer = Buffer.allocUnsafeSlow(1 << 20);

const server = createServer({ pauseOnConnect: true }, (accepted) => {
  // As our own sockets are adopted (proxy/codec/sockets.ts): an accepted one has no option for its buffer.
  const { _handle: handle } = accepted as unknown as { readonly _handle: unknown };
  const onread = { buffer, callback: () => true };
  const options: unknown = { handle, onread };
  const socket = new Socket(options as SocketConstructorOpts);
  socket.on("error", () => socket.destroy());
  socket.resume();
});
server.listen(0, "127.0.0.1", 1024, () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
