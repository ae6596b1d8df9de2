/**
 * How a spare proxy process learns whose sidecar it is.
 *
 * The agent keeps processes that have loaded everything and wait on a socket pair (file descriptor 3). One line of JSON
 * assigns one; it answers with one line, ready or error, and both sides close. A spare whose agent goes away before that
 * has no purpose and ends.
 */

import { Socket } from "node:net";
import { MeshError } from "../base/error.ts";
import type { ProxyNode } from "../model/proxy-config.ts";

export interface ProxyBootstrap {
  readonly proxy: ProxyNode;
  /** Unix socket of the agent's relay: ADS and SDS. */
  readonly xdsSocket: string;
  /** Unix socket on which the sidecar answers questions about itself. */
  readonly adminSocket: string;
  readonly trustDomain: string;
}

export interface Assignment {
  /** Path of the pod's network namespace. */
  readonly netns: string;
  readonly uid: number;
  /** Process id of the sidecar that this one takes over from; absent: there is none. */
  readonly predecessor?: number;
  readonly bootstrap: ProxyBootstrap;
}

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
  const fail = (path: string, want: string): MeshError =>
    new MeshError("proxy.assignment", `read assignment: ${path} must be ${want}`);
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new MeshError("proxy.assignment", "read assignment: not a line of JSON", { cause });
  }
  const assignment = value as Partial<Assignment> | null;
  if (typeof assignment?.netns !== "string") throw fail("netns", "a path");
  if (typeof assignment.uid !== "number") throw fail("uid", "a number");
  if (!["number", "undefined"].includes(typeof assignment.predecessor)) {
    throw fail("predecessor", "a number");
  }
  const bootstrap = assignment.bootstrap as Partial<ProxyBootstrap> | undefined;
  for (const key of ["xdsSocket", "adminSocket", "trustDomain"] as const) {
    if (typeof bootstrap?.[key] !== "string") throw fail(`bootstrap.${key}`, "a string");
  }
  const proxy = bootstrap?.proxy as Partial<ProxyNode> | undefined;
  for (const key of ["id", "namespace", "pod", "address"] as const) {
    if (typeof proxy?.[key] !== "string") throw fail(`bootstrap.proxy.${key}`, "a string");
  }
  if (typeof proxy?.workload !== "object") throw fail("bootstrap.proxy.workload", "an object");
  return value as Assignment;
}
