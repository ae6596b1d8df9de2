/**
 * Who talks over the fast path in its tests: servers that echo, and clients that are processes of their own.
 */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { inNetns } from "../../src/kernel/netns.ts";
import type { Netns } from "./dataplane-node.ts";
import { port } from "./fast-path-nodes.ts";

const echoing: Server[] = [];
const echoed: Socket[] = [];
const clients: ChildProcess[] = [];

export function endTraffic(): void {
  for (const server of echoing) server.close();
  for (const socket of echoed) socket.destroy();
  for (const child of clients) child.kill();
}

export async function serveEcho(where: Netns): Promise<void> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    echoed.push(socket);
    socket.pipe(socket);
  });
  echoing.push(server);
  inNetns(where.path, () => server.listen(port));
  if (!server.listening) await once(server, "listening");
}

/** One connection of a pod, in a process of its own: Node connects too late to borrow a namespace. */
export interface Connection {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly localPort: number;
  readonly end: Promise<unknown>;
  kill(): void;
}

const client = `
  const [, host, port, localPort] = process.argv;
  const from = localPort === undefined ? {} : { localPort: Number(localPort) };
  const socket = require("node:net").connect({ host, port: Number(port), noDelay: true, ...from });
  socket.on("error", () => process.exit(1));
  socket.on("close", () => process.exit(0));
  socket.on("connect", () => {
    process.stderr.write(String(socket.localPort));
    process.stdin.pipe(socket);
    socket.pipe(process.stdout);
  });`;

export async function opened(
  from: Netns,
  host: string,
  at: number = port,
  fromPort?: number,
): Promise<Connection> {
  const words = [host, at, ...(fromPort === undefined ? [] : [fromPort])].map(String);
  const child = inNetns(from.path, () => spawn(process.execPath, ["-e", client, ...words]));
  clients.push(child);
  child.stdin.on("error", () => child.stdin.destroy());
  const end = once(child, "exit");
  const [localPort] = await Promise.race([once(child.stderr, "data"), end]);
  const { stdin, stdout } = child;
  return { stdin, stdout, localPort: Number(localPort), end, kill: () => void child.kill() };
}

/** Sends so often as many bytes, and waits for them each time. */
export async function talk(
  { stdin, stdout, end }: Connection,
  times: number,
  bytes = 1,
): Promise<void> {
  const sent = Buffer.alloc(bytes, "x");
  const cutOff = end.then(() => Promise.reject(new Error("the connection ended")));
  cutOff.catch(() => undefined); // later it may well end
  for (let i = 0; i < times; i++) {
    stdin.write(sent);
    for (let left = bytes; left > 0; ) {
      const [chunk]: Buffer[] = await Promise.race([once(stdout, "data"), cutOff]);
      left -= chunk?.length ?? 0;
    }
  }
}

export async function ended({ stdin, end }: Connection): Promise<void> {
  stdin.end();
  await end;
}

const asker = `
  const [, host, port, localPort, patienceMs] = process.argv;
  const from = localPort === "any" ? {} : { localPort: Number(localPort) };
  const socket = require("node:net").connect({ host, port: Number(port), ...from });
  const say = (word) => { console.log(word); process.exit(0); };
  let silence = "timeout";
  socket.on("connect", () => { silence = "connected"; });
  setTimeout(() => say(silence), Number(patienceMs));
  let answer = "";
  socket.on("data", (chunk) => { answer += chunk; });
  socket.on("error", ({ code }) => say(code));
  socket.on("close", () => say(answer.trim()));`;

export interface Asking {
  readonly fromPort?: number;
  /** Of the connection alone, however long a busy machine takes to start a program. */
  readonly patienceMs?: number;
}

/** Where an answer is wanted: the second SYN goes out after a second, and anybody may stand still for two. */
export const patiently: Asking = { patienceMs: 5_000 };

/** What a server says that ends each connection itself; else the error's code, `connected`, or `timeout` if it never was. */
export async function ask(
  from: Netns,
  host: string,
  at: number,
  { fromPort, patienceMs = 700 }: Asking = {},
): Promise<string> {
  const words = [host, at, fromPort ?? "any", patienceMs].map(String);
  const child = inNetns(from.path, () => spawn(process.execPath, ["-e", asker, ...words]));
  clients.push(child);
  let answer = "";
  child.stdout.on("data", (chunk: Buffer) => {
    answer += chunk.toString();
  });
  await once(child, "close");
  return answer.trim();
}

/** What a node has of the connections from a port. */
export function tracked(where: Netns, localPort: number): readonly string[] {
  const words = ["netns", "exec", where.name, "conntrack", "-L", "-p", "tcp"];
  const listing = execFileSync("ip", words, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return listing.split("\n").filter((line) => line.includes(`sport=${localPort} `));
}
