/**
 * Writes to a socket past Node's streams, whose bookkeeping takes one part in twenty-five of a request's CPU
 * (docs/adr/0021).
 *
 * Where nothing is queued, the kernel mostly takes all of a write at once, and there is nothing to keep books of. So the
 * bytes go to the socket's handle, as its stream would have handed them, and the stream is told of the write only when
 * something is left of it, or it broke. From there on it is as if the stream had made the write: counted in
 * `writableLength`, drained, ended and destroyed as any other. Nothing but the stream decides about the socket.
 *
 * What it costs: a socket's own `setTimeout` does not see these writes; nobody sets one where they are used.
 *
 * Not here: TLS of Node's, whose writes are never over at once, and writes that somebody wants to know the end of.
 */

import type { Socket } from "node:net";
import { getSystemErrorName } from "node:util";

/** Text is latin1. */
type Chunk = string | Uint8Array;
type Callback = (error?: Error | null) => void;

/** What we use of libuv's streams. Both write what the kernel takes: all (0), nothing (an error below 0), or some. */
interface StreamHandle {
  writeLatin1String(request: null, text: string): number | Rest;
  writeBuffer(request: null, bytes: Uint8Array): number | Rest;
}

/** What the kernel had no room for; libuv has it, and writes nothing before it. */
interface Rest {
  oncomplete: (status: number) => void;
  /** Where it was complete before anybody could be told. */
  readonly writeStatus: number | null;
  /** Keeps from collection what libuv reads. */
  buffer: Chunk;
}

/** What is between a stream and its socket's handle. */
interface Implementation {
  readonly _handle: StreamHandle | null;
  _write(chunk: Chunk, encoding: string, callback: Callback): void;
}

/** A handle of another Node may want a request object, and end the process without one: there, streams write. */
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const isKnownNode = major === 26 && minor >= 10;

/** Writes as `socket.write` does. Bytes are the socket's for as long as it has a `writableLength`, as they are there. */
export function writeDirectly(socket: Socket, chunk: Chunk): void {
  const handle = idleHandleOf(socket);
  if (handle === null) {
    queue(socket, chunk);
    return;
  }
  const left =
    typeof chunk === "string"
      ? handle.writeLatin1String(null, chunk)
      : handle.writeBuffer(null, chunk);
  if (left !== 0) handOver(socket, chunk, left);
}

/** Null: the stream has something queued, or will not, or must not, write at once. */
function idleHandleOf(socket: Socket): StreamHandle | null {
  return isKnownNode &&
    socket.writableLength === 0 &&
    socket.writable &&
    !socket.connecting &&
    socket.writableCorked === 0
    ? (socket as unknown as Implementation)._handle
    : null;
}

/** Has the stream take for its own what was begun without it. */
function handOver(socket: Socket, chunk: Chunk, left: number | Rest): void {
  const implementation = socket as unknown as Implementation;
  const { _write } = implementation;
  // Called before `queue` returns, since nothing is before this.
  implementation._write = (_chunk, _encoding, callback) => {
    if (typeof left === "number") callback(writeError(left));
    else follow(left, chunk, callback);
  };
  queue(socket, chunk);
  implementation._write = _write;
}

function follow(rest: Rest, chunk: Chunk, callback: Callback): void {
  rest.buffer = chunk;
  rest.oncomplete = (status) => callback(status < 0 ? writeError(status) : null);
  if (rest.writeStatus !== null) rest.oncomplete(rest.writeStatus);
}

/** As Node's streams tell it. */
function writeError(errno: number): Error {
  const code = getSystemErrorName(errno);
  return Object.assign(new Error(`write ${code}`), { errno, code, syscall: "write" });
}

function queue(socket: Socket, chunk: Chunk): void {
  if (typeof chunk === "string") socket.write(chunk, "latin1");
  else socket.write(chunk);
}
