/**
 * Hears everything that reaches its pod on port 9999, TCP or UDP, and tells on port 9998 from which addresses it came.
 * The TCP side answers, so that a sender's sidecar or kernel has every reason to go on.
 */

import dgram from "node:dgram";
import http from "node:http";
import net from "node:net";

const heard = new Set<string>();

const datagrams = dgram.createSocket("udp4");
datagrams.on("message", (_, from) => heard.add(from.address));
datagrams.bind(9999);

net
  .createServer((socket) => {
    heard.add(socket.remoteAddress?.replace("::ffff:", "") ?? "unknown");
    socket.on("error", () => {});
    socket.end("heard\n");
  })
  .listen(9999);

http.createServer((_, response) => response.end(JSON.stringify([...heard]))).listen(9998);
process.once("SIGTERM", () => process.exit(0));
