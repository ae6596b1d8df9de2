/**
 * A sidecar that only follows the assignment protocol: for tests of whatever starts sidecars.
 *
 * It listens on its admin socket and says ready. A pod named `refuse…` is refused with an error, one named `die…` makes
 * it end without an answer. It ends on SIGTERM, and when descriptor 3 closes before it has a pod.
 */

import { createServer } from "node:http";
import { Socket } from "node:net";

const channel = new Socket({ fd: 3 });
let text = "";
let assigned = false;
channel.on("data", (bytes) => {
  text += bytes.toString();
  if (assigned || !text.includes("\n")) return;
  assigned = true;
  start(JSON.parse(text));
});
channel.on("end", () => {
  if (!assigned) process.exit(0);
});
channel.on("error", () => process.exit(0));

function start(assignment: {
  readonly bootstrap: { readonly proxy: { readonly pod: string }; readonly adminSocket: string };
}): void {
  const { proxy, adminSocket } = assignment.bootstrap;
  if (proxy.pod.startsWith("die")) process.exit(1);
  if (proxy.pod.startsWith("refuse")) {
    channel.end(`${JSON.stringify({ error: "listen on 15001: in use" })}\n`);
    return;
  }
  createServer((_, response) => response.end("fake\n")).listen(adminSocket, () => {
    channel.end('{"ready":true}\n');
  });
}
