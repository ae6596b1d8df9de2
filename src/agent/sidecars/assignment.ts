/**
 * What a spare sidecar is told when it gets its pod, and what it answers: one line of JSON each way on descriptor 3.
 *
 * The spare has booted long before; with the assignment it enters the pod's namespace, listens, fetches its first
 * complete configuration and then says ready. Either side closing the descriptor ends the conversation.
 */

import type { Duplex } from "node:stream";
import { MeshError } from "../../base/error.ts";
import { isRecord } from "../../base/json.ts";
import type { ProxyNode } from "../../model/proxy-config.ts";

export interface Assignment {
  /** Path of the pod's network namespace. */
  readonly netns: string;
  readonly uid: number;
  /** Process id of the sidecar that it takes over from. */
  readonly predecessor?: number;
  readonly bootstrap: {
    readonly proxy: ProxyNode;
    readonly xdsSocket: string;
    readonly adminSocket: string;
    readonly trustDomain: string;
  };
}

/** What a spare is told that becomes a worker for many pods. */
export interface WorkerAssignment {
  readonly uid: number;
  readonly worker: { readonly name: string; readonly socket: string };
}

const maxAnswerBytes = 64 * 1024;

/** Resolves when the sidecar is ready; throws with its own words where it cannot be. */
export async function assign(
  channel: Duplex,
  assignment: Assignment | WorkerAssignment,
  signal: AbortSignal,
): Promise<void> {
  channel.write(`${JSON.stringify(assignment)}\n`);
  const answer = parseAnswer(await readLine(channel, signal));
  channel.end();
  if (answer !== undefined) {
    throw new MeshError("agent.sidecar.refused", answer);
  }
}

/** Undefined: ready. Otherwise what the sidecar says is wrong. */
function parseAnswer(line: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    value = undefined;
  }
  if (isRecord(value) && value["ready"] === true) return undefined;
  if (isRecord(value) && typeof value["error"] === "string") return value["error"];
  return `its answer is not understood: ${line.slice(0, 200)}`;
}

function readLine(channel: Duplex, signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = "";
  const onBytes = (bytes: Buffer) => {
    text += bytes.toString("utf8");
    const newline = text.indexOf("\n");
    if (newline >= 0) resolve(text.slice(0, newline));
    else if (text.length > maxAnswerBytes)
      reject(new MeshError("agent.sidecar.refused", "sidecar's answer has no end"));
  };
  const onEnd = () =>
    reject(
      new MeshError("agent.sidecar.died", "sidecar ended before it was ready", { retryable: true }),
    );
  const onError = (cause: Error) =>
    reject(new MeshError("agent.sidecar.died", "talk to sidecar", { cause, retryable: true }));
  const onAbort = () => reject(signal.reason);
  channel.on("data", onBytes).once("end", onEnd).once("close", onEnd).on("error", onError);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  return promise.finally(() => {
    channel.off("data", onBytes).off("end", onEnd).off("close", onEnd);
    signal.removeEventListener("abort", onAbort);
  });
}
