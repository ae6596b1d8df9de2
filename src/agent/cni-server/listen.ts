/**
 * The socket of the CNI executable: one connection, one call. Only root may connect: who can attach a namespace owns
 * it.
 */

import { chmodSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { MeshError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import { type CniReply, encodeReply } from "../../wire/cni/frame.ts";

/** Far above any configuration with its previous result. */
const maxRequestBytes = 1024 * 1024;

/** Listens at `path` until disposed; throws `agent.running` where another agent does. */
export async function listenForCni(
  path: string,
  answer: (bytes: Uint8Array) => Promise<CniReply>,
  log: Log,
): Promise<AsyncDisposable> {
  await requireUnused(path);
  const open = new Set<Socket>();
  // The executable ends its side when it has said everything, and still waits for the reply.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    serve(socket, answer, log);
  });
  await listen(server, path);
  chmodSync(path, 0o600);
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

function serve(socket: Socket, answer: (bytes: Uint8Array) => Promise<CniReply>, log: Log): void {
  const chunks: Buffer[] = [];
  let length = 0;
  socket.on("error", (error) => log.debug("cni executable is gone", { error: error.message }));
  socket.on("data", (chunk: Buffer) => {
    length += chunk.length;
    if (length > maxRequestBytes) socket.destroy();
    else chunks.push(chunk);
  });
  socket.once("end", () => {
    void answer(Buffer.concat(chunks)).then((reply) => socket.end(encodeReply(reply)));
  });
}

/** A socket that a killed agent left is in nobody's way; one that answers is another agent. */
async function requireUnused(path: string): Promise<void> {
  const answered = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
  if (answered) {
    throw new MeshError("agent.running", `listen at ${path}: another agent does already`, {
      fault: "user",
    });
  }
  rmSync(path, { force: true });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) =>
      reject(new MeshError("agent.listen", `listen at ${path}`, { cause, fault: "host" })),
    );
    server.listen(path, resolve);
  });
}
