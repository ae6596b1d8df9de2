/**
 * How a new process takes a sidecar over from the one that runs, with no connection refused.
 *
 * The successor duplicates the predecessor's listening sockets (`pidfd_getfd`, while it is still root): both accept
 * from the same queue, so nothing that waits there is lost when one of them stops. Connections stay with whoever
 * accepted them: the predecessor retires, which is to finish them (sidecar.ts). What it has learnt of servers that
 * speak first is handed over too, for learning it costs a connection seconds.
 *
 * Not here: who decides on it, and tells the predecessor to retire (agent/sidecars).
 */

import { closeSync } from "node:fs";
import type { Server } from "node:net";
import { MeshError } from "../base/error.ts";
import { isRecord } from "../base/json.ts";
import { get } from "./node-http.ts";

/** As the predecessor tells it. */
export interface Legacy {
  /** Its descriptors, by `address:port`. */
  readonly sockets: ReadonlyMap<string, number>;
  readonly serverFirst: readonly string[];
}

export const noLegacy: Legacy = { sockets: new Map(), serverFirst: [] };

export const legacyPath = "/heddle/legacy";

export function renderLegacy({ sockets, serverFirst }: Legacy): string {
  return JSON.stringify({ sockets: Object.fromEntries(sockets), serverFirst });
}

/**
 * Asks the predecessor, on its admin socket. `take` makes a descriptor of another process one of ours. Where it throws
 * none of them is left: one that stays open in a process of many pods would take connections that nobody accepts.
 */
export async function inherit(
  adminSocket: string,
  take: (descriptor: number) => number,
): Promise<Legacy> {
  const legacy = parseLegacy(await ask(adminSocket));
  const taken = new Map<string, number>();
  try {
    for (const [key, descriptor] of legacy.sockets) taken.set(key, take(descriptor));
  } catch (cause) {
    for (const descriptor of taken.values()) closeSync(descriptor);
    throw new MeshError("proxy.succession", "take the predecessor's sockets over", {
      cause,
      retryable: true,
    });
  }
  return { ...legacy, sockets: taken };
}

/** Undefined when it does not listen. */
export function listeningDescriptor(server: Server): number | undefined {
  const { _handle: handle } = server as unknown as {
    readonly _handle: { readonly fd: number } | null;
  };
  return handle === null || handle.fd < 0 ? undefined : handle.fd;
}

function parseLegacy(text: string): Legacy {
  const value: unknown = JSON.parse(text);
  const sockets = isRecord(value) && isRecord(value["sockets"]) ? value["sockets"] : undefined;
  const learnt = isRecord(value) ? value["serverFirst"] : undefined;
  if (sockets === undefined || !Array.isArray(learnt)) {
    throw new MeshError(
      "proxy.succession",
      "take over from the predecessor: its answer is not understood",
    );
  }
  return {
    sockets: new Map(
      Object.entries(sockets).filter(
        (entry): entry is [string, number] => typeof entry[1] === "number",
      ),
    ),
    serverFirst: learnt.filter((each) => typeof each === "string"),
  };
}

function ask(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) =>
      reject(
        new MeshError("proxy.succession", "take over from the predecessor", {
          cause,
          retryable: true,
        }),
      );
    const sent = get({ socketPath, path: legacyPath, timeout: 2_000 }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("error", fail);
      response.on("end", () => resolve(text));
    });
    sent.on("error", fail);
    sent.on("timeout", () => sent.destroy(new Error("no answer")));
  });
}
