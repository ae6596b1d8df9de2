/**
 * Speaks to a worker, the process that is the sidecar of many pods, on its control socket.
 *
 * The answer to "serve this pod" stays unfinished for as long as the worker does, and the kernel ends it with the
 * process: that is how the end of a pod's sidecar is known, by the agent that gave it and by one that came later.
 */

import { type IncomingMessage, request } from "node:http";
import { MeshError } from "../../base/error.ts";
import type { Assignment } from "./assignment.ts";

/** What a worker is told of one pod. */
export interface PodAssignment extends Omit<Assignment, "uid"> {
  readonly logFile: string;
}

export interface ServedPod {
  /** Resolves when the worker no longer serves the pod, whatever the reason. */
  readonly ended: Promise<void>;
}

/** A worker that says nothing for this long beyond the time that it was given is stuck. */
const patienceMs = 10_000;
const maxReasonBytes = 64 * 1024;

/** The worker cannot be reached: it has ended, or is about to. Nothing was begun. */
export class WorkerGone extends MeshError {}

/**
 * Resolves when the pod's sidecar is ready, or was there already. Throws `agent.sidecar.refused` with the worker's
 * words, or WorkerGone.
 */
export async function givePod(
  socketPath: string,
  id: string,
  assignment: PodAssignment,
  signal: AbortSignal,
): Promise<ServedPod> {
  const body = JSON.stringify(assignment);
  const answer = await ask({ socketPath, method: "POST", path: pathOf(id) }, { body, signal });
  if (answer.statusCode === 200) return served(answer);
  if (answer.statusCode === 409) {
    answer.resume();
    const there = await findPod(socketPath, id);
    if (there !== undefined) return there;
  }
  throw new MeshError("agent.sidecar.refused", await textOf(answer), { retryable: true });
}

/** Of a pod that the worker was given by an earlier agent; undefined where it does not serve it. */
export async function findPod(socketPath: string, id: string): Promise<ServedPod | undefined> {
  try {
    const answer = await ask(
      { socketPath, method: "GET", path: pathOf(id) },
      { signal: AbortSignal.timeout(patienceMs) },
    );
    if (answer.statusCode === 200) return served(answer);
    answer.resume();
    return undefined;
  } catch {
    return undefined;
  }
}

/** The pod has moved: what is in flight finishes where it began. */
export async function retirePod(socketPath: string, id: string): Promise<void> {
  await told({ socketPath, method: "POST", path: `${pathOf(id)}/retire` }, patienceMs);
}

/** Resolves when nothing of the pod is left there; false where the worker does not say so in time. */
export function removePod(socketPath: string, id: string, drainMs: number): Promise<boolean> {
  const path = `${pathOf(id)}?drainMs=${drainMs}`;
  return told({ socketPath, method: "DELETE", path }, drainMs + patienceMs);
}

interface Call {
  readonly socketPath: string;
  readonly method: string;
  readonly path: string;
}

function pathOf(id: string): string {
  return `/pods/${encodeURIComponent(id)}`;
}

async function ask(
  call: Call,
  { body, signal }: { readonly body?: string; readonly signal: AbortSignal },
): Promise<IncomingMessage> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    // A connection of its own: the answer may last for the life of a pod, and longer than anybody's patience for it.
    const sent = request({ ...call, agent: false });
    const giveUp = () => void sent.destroy();
    signal.addEventListener("abort", giveUp, { once: true });
    const settled = () => signal.removeEventListener("abort", giveUp);
    sent.once("response", (answer) => {
      settled();
      answer.on("error", () => {}); // it ends with the worker
      resolve(answer);
    });
    sent.once("error", (cause) => {
      settled();
      if (signal.aborted) return reject(signal.reason);
      const doing = `ask worker at ${call.socketPath}`;
      reject(new WorkerGone("agent.sidecar.died", doing, { cause, retryable: true }));
    });
    sent.end(body);
  });
}

/** Whether it was done. That the worker is gone counts: so is what it had. */
async function told(call: Call, withinMs: number): Promise<boolean> {
  try {
    const answer = await ask(call, { signal: AbortSignal.timeout(withinMs) });
    answer.resume();
    return true;
  } catch (error) {
    return error instanceof WorkerGone;
  }
}

function served(answer: IncomingMessage): ServedPod {
  answer.resume();
  answer.socket.unref();
  return { ended: new Promise((resolve) => answer.once("close", () => resolve())) };
}

async function textOf(answer: IncomingMessage): Promise<string> {
  let text = "";
  answer.setEncoding("utf8");
  for await (const chunk of answer as AsyncIterable<string>) {
    text += chunk;
    if (text.length > maxReasonBytes) break;
  }
  return text;
}
