/**
 * The smallest HTTP/1.1 server that answers keep-alive requests without bodies: 1 kB each, one write per read.
 *
 * Prints its port. It knows nothing but where a head ends, so that what is measured is what stands before it.
 */

import { type AddressInfo, createServer } from "node:net";

const body = "x".repeat(1024);
const answer = `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

const server = createServer({ noDelay: true }, (socket) => {
  let rest = "";
  socket.setEncoding("latin1");
  socket.on("data", (chunk: string) => {
    const text = rest + chunk;
    let at = 0;
    let out = "";
    for (let end = text.indexOf("\r\n\r\n", at); end >= 0; end = text.indexOf("\r\n\r\n", at)) {
      out += answer;
      at = end + 4;
    }
    rest = text.slice(at);
    if (out !== "") socket.write(out, "latin1");
  });
  socket.on("error", () => socket.destroy());
});
server.listen(0, "127.0.0.1", 1024, () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
