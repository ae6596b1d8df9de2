/** A TCP server that sends back what it gets. Prints its port. */

import { type AddressInfo, createServer } from "node:net";

const server = createServer({ noDelay: true }, (socket) => {
  socket.pipe(socket);
  socket.on("error", () => socket.destroy());
});
server.listen(0, "127.0.0.1", 1024, () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
