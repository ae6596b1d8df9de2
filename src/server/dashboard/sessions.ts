/**
 * Who is signed in to the dashboard: a bounded list of sessions, each by the hash of what its browser keeps.
 *
 * The list is a file, so that a restart of the server signs nobody out, and it holds hashes, so that a stolen copy
 * opens nothing. A session ends at a fixed time after it began, used or not; one more than the bound ends the oldest.
 *
 * Not here: what a session may do (server/authenticate.ts), cookies (session-endpoint.ts).
 */

import { createHash, randomBytes } from "node:crypto";
import { MeshError } from "../../base/error.ts";
import { isRecord } from "../../base/json.ts";
import { Secret } from "../../base/secret.ts";
import { keepFile, readIfThere } from "../data-folder.ts";

export const sessionMs: number = 12 * 3600_000; // a working day: nobody signs in twice in one
const maxSessions = 64; // people, not programs: those have tokens

export interface Sessions {
  /** A new session. Its id is for the browser alone. */
  begin(): Promise<Secret<string>>;
  accepts(id: string): boolean;
  end(id: string): Promise<void>;
}

/** Throws `server.data` where the file cannot be read or is none of ours. */
export async function openSessions(file: string, now: () => number): Promise<Sessions> {
  const ends = parseSessions(await readIfThere(file), file);
  // Two sign-ins at once write one after the other, the later with both.
  let writing: Promise<void> = Promise.resolve();
  const keep = (): Promise<void> => {
    writing = writing
      .catch(() => {})
      .then(() => keepFile(file, JSON.stringify(Object.fromEntries(ends))));
    return writing;
  };

  return {
    async begin() {
      for (const [hash, end] of ends) if (end <= now()) ends.delete(hash);
      // A map keeps the order of insertion, which is the order of age.
      for (const hash of ends.keys()) {
        if (ends.size < maxSessions) break;
        ends.delete(hash);
      }
      const id = randomBytes(32).toString("base64url");
      ends.set(hashOf(id), now() + sessionMs);
      await keep();
      return new Secret(id);
    },
    accepts: (id) => (ends.get(hashOf(id)) ?? 0) > now(),
    async end(id) {
      if (ends.delete(hashOf(id))) await keep();
    },
  };
}

function hashOf(id: string): string {
  return createHash("sha256").update(id).digest("hex");
}

function parseSessions(text: string | undefined, file: string): Map<string, number> {
  if (text === undefined) return new Map();
  try {
    const kept: unknown = JSON.parse(text);
    if (!isRecord(kept)) throw new SyntaxError("want an object");
    return new Map(
      Object.entries(kept).map(([hash, end]): [string, number] => [hash, Number(end)]),
    );
  } catch (cause) {
    throw new MeshError("server.data", `read sessions ${file}; delete it to sign everybody out`, {
      cause,
      fault: "host",
    });
  }
}
