/** Which process is each pod's sidecar, as the agents of a lab's hosts say. */

import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { AgentStatus } from "../agent/status.ts";
import { getText } from "./ask-socket.ts";
import { hostPaths, type LabPaths } from "./names.ts";

export interface SidecarPlace {
  /** Process id. */
  readonly sidecar: number;
  /** Name of the worker that the process is. */
  readonly worker?: string;
}

/** Sockets of the agents on a lab's hosts; none where there is no such lab. */
export function agentSockets(paths: LabPaths): string[] {
  let folders: string[];
  try {
    folders = readdirSync(paths.root);
  } catch {
    return [];
  }
  return folders
    .flatMap((folder) => /^n(\d+)$/.exec(folder)?.[1] ?? [])
    .map((index) => join(hostPaths(paths, Number(index)).run, "agent.sock"));
}

/** By container id; what an agent that does not answer would say is left out. */
export async function sidecarPlaces(paths: LabPaths): Promise<ReadonlyMap<string, SidecarPlace>> {
  const answers = await Promise.allSettled(
    agentSockets(paths).map(
      async (socket): Promise<AgentStatus> => JSON.parse(await getText(socket, "/status")),
    ),
  );
  const attachments = answers.flatMap((answer) =>
    answer.status === "fulfilled" ? answer.value.attachments : [],
  );
  return new Map(
    attachments.flatMap(({ containerId, sidecar }) => {
      if (sidecar?.kind !== "ready") return [];
      const { pid, worker } = sidecar;
      const place = { sidecar: pid, ...(worker === undefined ? {} : { worker }) };
      return [[containerId, place] as const];
    }),
  );
}
