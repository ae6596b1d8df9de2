/** Stand-in for Istio's tcp-echo-server: `tcp-echo.ts 9000,9001 hello` answers each line with `hello <line>`. */

import { createServer } from "node:net";
import { createInterface } from "node:readline";

const [ports = "9000", prefix = "hello"] = process.argv.slice(2);

for (const port of ports.split(",")) {
  createServer((socket) => {
    socket.on("error", () => {});
    const lines = createInterface({ input: socket });
    lines.on("error", () => {}); // it hands on what the socket has said already
    lines.on("line", (line) => {
      if (!socket.writableEnded) socket.write(`${prefix} ${line}\n`);
    });
  }).listen(Number(port));
}

process.once("SIGTERM", () => process.exit(0));
