/**
 * Asks every sidecar of a lab for its counters, over the admin sockets that the agents keep for them.
 *
 * A sidecar that does not answer (it is starting, or was just killed) is passed over: the table shows what is known.
 */

import { readdirSync } from "node:fs";
import * as http from "node:http";
import { join } from "node:path";
import { hostPaths, type LabPaths } from "../names.ts";
import { isTrafficMetric } from "./edges.ts";
import { parsePrometheus, type Sample } from "./prometheus-text.ts";

/** One sidecar's reading. */
export interface Reading {
  /** Distinguishes sidecars: the path of its socket. */
  readonly sidecar: string;
  readonly samples: readonly Sample[];
}

const timeoutMs = 1_000;

export async function scrapeSidecars(paths: LabPaths, hosts: number): Promise<Reading[]> {
  const sockets = Array.from({ length: hosts }, (_, i) => adminSockets(paths, i + 1)).flat();
  const readings = await Promise.all(
    sockets.map(async (socket): Promise<Reading | undefined> => {
      const text = await getText(socket, "/stats/prometheus").catch(() => undefined);
      if (text === undefined) return undefined;
      return { sidecar: socket, samples: parsePrometheus(text, isTrafficMetric) };
    }),
  );
  return readings.filter((reading) => reading !== undefined);
}

function adminSockets(paths: LabPaths, host: number): string[] {
  const pods = join(hostPaths(paths, host).run, "pods");
  try {
    return readdirSync(pods).map((id) => join(pods, id, "admin.sock"));
  } catch {
    return [];
  }
}

/** GET over a unix socket; rejects unless the answer is 200. */
export function getText(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath, path, timeout: timeoutMs }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", reject);
      response.once("end", () => {
        const text = Buffer.concat(chunks).toString();
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`${path}: status ${response.statusCode}: ${text.trim()}`));
      });
    });
    request.once("timeout", () => request.destroy(new Error(`${path}: no answer`)));
    request.once("error", reject);
  });
}
