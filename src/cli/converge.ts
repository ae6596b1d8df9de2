/**
 * Waits until a change is in force: every connected agent and sidecar has taken it.
 *
 * The server knows who is connected and what each has acknowledged; asking it is one request that answers when it is
 * so. Whoever refused the change goes on with what was before: that is an error here, with the refusal's own words.
 */

import type { Resource } from "../api/resource.ts";
import { MeshError } from "../base/error.ts";
import { isRecord } from "../base/json.ts";
import type { HttpTransport } from "../rpc/http-transport.ts";
import { meshNotes, notesAbout, renderNote } from "./mesh-notes.ts";

const timeoutMs = 10_000;

/**
 * `version`: of the change; undefined: whatever the newest is. Throws `cli.converge` when it takes too long,
 * `cli.converge.refused` when somebody cannot do what the change says.
 */
export async function untilConverged(
  transport: HttpTransport,
  version: number | undefined,
): Promise<void> {
  const query = new URLSearchParams({ timeoutMs: String(timeoutMs) });
  if (version !== undefined) query.set("resourceVersion", String(version));
  const { code, body } = await transport.send({
    method: "GET",
    path: `/heddle/v1/converged?${query}`,
  });
  if (code !== 200 || !isRecord(body)) {
    throw notYet(`wait for the change to be in force: the server answered ${code}`);
  }
  const refused = listAt(body, "rejected").filter(isRecord);
  if (refused.length > 0) {
    const what = refused.map(({ id, error }) => `${id}: ${error}`).join("; ");
    throw new MeshError(
      "cli.converge.refused",
      `the change is stored, but ${refused.length} of those connected refused it and went on as before: ${what}`,
      { fault: "peer" },
    );
  }
  if (body["converged"] === true) return;
  const waiting = listAt(body, "waiting").join(", ");
  throw notYet(
    `after ${timeoutMs / 1000} s not everybody has taken the change: waiting for ${waiting}`,
  );
}

/** The same; then warns of what is not done as it is written, where that is about one of the objects. */
export async function untilInForce(
  transport: HttpTransport,
  version: number | undefined,
  objects: readonly Resource[],
  warn: (text: string) => void,
): Promise<void> {
  await untilConverged(transport, version);
  for (const note of notesAbout(await meshNotes(transport), objects)) warn(renderNote(note));
}

function notYet(message: string): MeshError {
  return new MeshError("cli.converge", message, { fault: "peer", retryable: true });
}

function listAt(body: Readonly<Record<string, unknown>>, field: string): readonly unknown[] {
  const list = body[field];
  return Array.isArray(list) ? list : [];
}
