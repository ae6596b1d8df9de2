/** Asks one sidecar what it has counted, over the admin socket that it opens in the agent's run directory. */

import { Agent, get } from "node:http";
import { MeshError } from "../../base/error.ts";
import type { SidecarObservation } from "../../model/observation.ts";
import { parseObservation } from "../../wire/observation/parse.ts";

/** A busy sidecar may be late; the next second is near. */
const timeoutMs = 800;
const maxBytes = 8 * 1024 * 1024;

/** Connections to the sidecars, one each, kept from second to second. */
export function sidecarConnections(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 1 });
}

/** Throws MeshError `observation.unanswered`, or `observation.malformed`. */
export async function readSidecar(socketPath: string, agent: Agent): Promise<SidecarObservation> {
  const text = await getText(socketPath, agent);
  return parseObservation(parseJson(text));
}

function getText(socketPath: string, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) =>
      reject(new MeshError("observation.unanswered", `ask ${socketPath}`, { cause }));
    const options = { socketPath, agent, path: "/heddle/observation", timeout: timeoutMs };
    const request = get(options, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on("data", (chunk: Buffer) => {
        length += chunk.length;
        if (length > maxBytes) request.destroy(new Error(`more than ${maxBytes} bytes`));
        chunks.push(chunk);
      });
      response.once("error", fail);
      response.once("end", () => {
        if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString());
        else fail(new Error(`status ${response.statusCode}`));
      });
    });
    request.once("timeout", () => request.destroy(new Error("no answer")));
    request.once("error", fail);
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
