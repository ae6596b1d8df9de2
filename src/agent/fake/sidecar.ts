/**
 * A sidecar that only follows the assignment protocol: for tests of whatever starts sidecars.
 *
 * It listens on its admin socket, where `/proxy` answers what it was told of its pod, and says ready. A pod named
 * `refuse…`, and one in whose directory is a file `refuse`, is refused with an error, one named `die…` makes it end
 * without an answer; that of one named `slow…` stands still for 300 ms at each question, and then counts it in a file
 * beside its socket. One that is named `busy…` goes on when it is taken over from, as if it had connections to finish.
 * It ends on SIGTERM, and when descriptor 3 closes before it has a pod. Told to be a worker it does the same for each
 * of its pods, as long as it has any.
 */

import { existsSync, renameSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { Socket } from "node:net";
import { dirname, join } from "node:path";

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

interface FakeAssignment {
  readonly worker?: { readonly socket: string };
  readonly bootstrap: { readonly proxy: { readonly pod: string }; readonly adminSocket: string };
}

function start(assignment: FakeAssignment): void {
  const { worker } = assignment;
  if (worker !== undefined) {
    work(worker.socket);
    return;
  }
  const error = serve(assignment, () => channel.end('{"ready":true}\n'));
  if (error !== undefined) channel.end(`${JSON.stringify({ error })}\n`);
}

/** Why it is refused; undefined where it is served. */
function serve({ bootstrap }: FakeAssignment, onReady: () => void): string | undefined {
  const { proxy, adminSocket } = bootstrap;
  if (proxy.pod.startsWith("die")) process.exit(1);
  if (proxy.pod.startsWith("busy")) process.on("SIGUSR2", () => {});
  const isRefused = existsSync(join(dirname(adminSocket), "refuse"));
  if (isRefused || proxy.pod.startsWith("refuse")) return "listen on 15001: in use";
  const path = `${adminSocket}.${process.pid}`; // another may have the path still
  let asked = 0;
  createServer((request, response) => {
    if (proxy.pod.startsWith("slow")) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
      writeFileSync(`${adminSocket}.asked`, `${++asked}`);
    }
    response.end(request.url === "/proxy" ? JSON.stringify(proxy) : "fake\n");
  }).listen(path, () => {
    renameSync(path, adminSocket);
    onReady();
  });
  return undefined;
}

function work(socket: string): void {
  const lives = new Map<string, ServerResponse[]>();
  const follow = (id: string, response: ServerResponse) => {
    const followers = lives.get(id);
    response.writeHead(followers === undefined ? 404 : 200).flushHeaders();
    if (followers === undefined) response.end();
    else followers.push(response);
  };
  const remove = (id: string, response: ServerResponse) => {
    for (const follower of lives.get(id) ?? []) follower.end();
    lives.delete(id);
    response.end(() => {
      if (lives.size === 0) process.exit(0);
    });
  };
  createServer(async (request, response) => {
    const [, , id = "", verb] = (request.url ?? "").split(/[/?]/);
    if (request.method === "GET") return follow(id, response);
    if (request.method === "DELETE" || verb === "retire") return remove(id, response);
    const body = (await request.toArray()).join("");
    const error = serve(JSON.parse(body), () => {
      lives.set(id, []);
      follow(id, response);
    });
    if (error !== undefined) response.writeHead(500).end(error);
  }).listen(socket, () => channel.end('{"ready":true}\n'));
}
