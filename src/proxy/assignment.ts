/**
 * How a spare proxy process learns whose sidecar it is, or that it is a worker for many pods.
 *
 * The agent keeps processes that have loaded everything and wait on a socket pair (file descriptor 3). One line of JSON
 * assigns one; it answers with one line, ready or error, and both sides close. A spare whose agent goes away before
 * that has no purpose and ends. A worker hears of its pods on a socket of its own (worker/control.ts), in the same
 * words.
 */

import { Socket } from "node:net";
import { MeshError } from "../base/error.ts";
import { isRecord } from "../base/json.ts";
import type { ProxyNode } from "../model/proxy-config.ts";

export interface ProxyBootstrap {
  readonly proxy: ProxyNode;
  /** Unix socket of the agent's relay: ADS and SDS. */
  readonly xdsSocket: string;
  /** Unix socket on which the sidecar answers questions about itself. */
  readonly adminSocket: string;
  readonly trustDomain: string;
}

/** One pod's sidecar, wherever it is to be. */
export interface PodAssignment {
  /** Path of the pod's network namespace. */
  readonly netns: string;
  /** Process id of the sidecar that this one takes over from; absent: there is none. */
  readonly predecessor?: number;
  readonly bootstrap: ProxyBootstrap;
}

/** The process is this pod's alone. */
export interface DedicatedAssignment extends PodAssignment {
  readonly kind: "pod";
  readonly uid: number;
}

export interface WorkerAssignment {
  readonly kind: "worker";
  readonly uid: number;
  /** For people: which of the node's workers it is. */
  readonly name: string;
  /** Path of the socket on which it is told of its pods. */
  readonly socket: string;
}

export type Assignment = DedicatedAssignment | WorkerAssignment;

const maxLineBytes = 1 << 20;

export interface AssignmentChannel {
  /** Undefined: the agent is gone, there will be none. */
  receive(): Promise<Assignment | undefined>;
  /** Answers and closes; resolves when the answer has left. */
  answer(reply: { readonly ready: true } | { readonly error: string }): Promise<void>;
}

export function openAssignment(descriptor: number): AssignmentChannel {
  const socket = new Socket({ fd: descriptor, readable: true, writable: true });
  return {
    receive() {
      return new Promise((resolve, reject) => {
        let text = "";
        socket.setEncoding("utf8");
        socket.on("data", (chunk: string) => {
          text += chunk;
          const end = text.indexOf("\n");
          if (end < 0 && text.length < maxLineBytes) return;
          socket.removeAllListeners("data");
          try {
            resolve(parseAssignment(text.slice(0, end)));
          } catch (error) {
            reject(error);
          }
        });
        socket.once("close", () => resolve(undefined));
        socket.once("end", () => resolve(undefined));
        socket.on("error", () => resolve(undefined));
      });
    },
    answer(reply) {
      return new Promise((resolve) => {
        socket.removeAllListeners();
        // An agent that died meanwhile hears nothing; its successor finds the sidecar by its process id.
        socket.on("error", () => resolve());
        socket.end(`${JSON.stringify(reply)}\n`, () => {
          socket.destroy();
          resolve();
        });
      });
    },
  };
}

export function parseAssignment(line: string): Assignment {
  const value = parseJson(line);
  if (typeof value["uid"] !== "number") throw refused("uid", "a number");
  const { uid } = value;
  if (value["worker"] === undefined) return { kind: "pod", uid, ...podAssignment(value) };
  const worker = isRecord(value["worker"]) ? value["worker"] : {};
  const { name, socket } = worker;
  if (typeof name !== "string") throw refused("worker.name", "a string");
  if (typeof socket !== "string") throw refused("worker.socket", "a string");
  return { kind: "worker", uid, name, socket };
}

/** What a worker is told of one pod. */
export function parsePodAssignment(text: string): PodAssignment & { readonly logFile: string } {
  const value = parseJson(text);
  const { logFile } = value;
  if (typeof logFile !== "string") throw refused("logFile", "a path");
  return { ...podAssignment(value), logFile };
}

function parseJson(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new MeshError("proxy.assignment", "read assignment: not a line of JSON", { cause });
  }
  return isRecord(value) ? value : {};
}

function refused(path: string, want: string): MeshError {
  return new MeshError("proxy.assignment", `read assignment: ${path} must be ${want}`);
}

function podAssignment(value: Readonly<Record<string, unknown>>): PodAssignment {
  if (typeof value["netns"] !== "string") throw refused("netns", "a path");
  if (!["number", "undefined"].includes(typeof value["predecessor"])) {
    throw refused("predecessor", "a number");
  }
  const bootstrap = isRecord(value["bootstrap"]) ? value["bootstrap"] : {};
  for (const key of ["xdsSocket", "adminSocket", "trustDomain"]) {
    if (typeof bootstrap[key] !== "string") throw refused(`bootstrap.${key}`, "a string");
  }
  const proxy = isRecord(bootstrap["proxy"]) ? bootstrap["proxy"] : {};
  for (const key of ["id", "namespace", "pod", "address"]) {
    if (typeof proxy[key] !== "string") throw refused(`bootstrap.proxy.${key}`, "a string");
  }
  if (!isRecord(proxy["workload"])) throw refused("bootstrap.proxy.workload", "an object");
  return value as unknown as PodAssignment;
}
