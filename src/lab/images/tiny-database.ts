/**
 * A database of strings over TCP, in memory. It greets first, as MySQL does: a proxy that waits for the client to
 * speak first would wait for ever.
 *
 *     ← heddle-db 1 database-5f6
 *     → SET colour red        ← OK
 *     → GET colour            ← VALUE red      (or: NONE)
 *     → COUNT                 ← VALUE 1
 */

import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { podName, stopGracefully } from "./serving.ts";

const values = new Map<string, string>();
const sockets = new Set<{ destroy(): void }>();

const server = createServer((socket) => {
  sockets.add(socket);
  socket.once("close", () => sockets.delete(socket));
  socket.on("error", () => {});
  socket.write(`heddle-db 1 ${podName}\n`);
  const lines = createInterface({ input: socket });
  lines.on("error", () => {}); // it hands on what the socket has said already
  lines.on("line", (line) => {
    if (!socket.writableEnded) socket.write(`${answer(line.trim())}\n`);
  });
});
server.listen(Number(process.env["PORT"] ?? 5432));
stopGracefully(server, () => {
  for (const socket of sockets) socket.destroy();
});

function answer(line: string): string {
  const [command = "", key = "", ...rest] = line.split(" ");
  switch (command.toUpperCase()) {
    case "SET":
      values.set(key, rest.join(" "));
      return "OK";
    case "GET": {
      const value = values.get(key);
      return value === undefined ? "NONE" : `VALUE ${value}`;
    }
    case "COUNT":
      return `VALUE ${values.size}`;
    default:
      return `ERROR unknown command ${JSON.stringify(command)}`;
  }
}
