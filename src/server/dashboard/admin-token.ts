/**
 * The token by which a person or kubectl is the administrator where the admin socket cannot be reached: over HTTPS, and
 * to sign in to the dashboard. Made at the first start and kept beside the store, readable by the server's user alone.
 */

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { MeshError } from "../../base/error.ts";
import { keepFile, readIfThere } from "../data-folder.ts";

export interface AdminToken {
  /** Takes the same time for every wrong token. */
  equals(given: string): boolean;
  reveal(): string;
  toJSON(): string;
}

const form = /^heddle-admin\.[A-Za-z0-9_-]{43}$/;

/** What was kept, or a new one, which is kept before it is used. */
export async function keptAdminToken(file: string): Promise<AdminToken> {
  const kept = (await readIfThere(file))?.trim();
  if (kept === undefined) {
    const made = `heddle-admin.${randomBytes(32).toString("base64url")}`;
    await keepFile(file, `${made}\n`);
    return adminToken(made);
  }
  // An empty or short token would let anybody in.
  if (!form.test(kept)) {
    throw new MeshError(
      "server.data",
      `read ${file}: want heddle-admin. and 43 letters; delete it for a new token`,
      { fault: "host" },
    );
  }
  return adminToken(kept);
}

function adminToken(text: string): AdminToken {
  const wanted = digest(text);
  return {
    // Of digests, which have one length and tell nothing of a common beginning.
    equals: (given) => timingSafeEqual(digest(given), wanted),
    reveal: () => text,
    toJSON: () => "[secret]",
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
