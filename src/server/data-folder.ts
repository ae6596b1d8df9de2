/**
 * The server's folder: the store, the authority's root, the administrator's sockets and token.
 *
 * What is one file is written aside and renamed into place, so that there is either a whole one or none: losing the
 * authority would make every certificate in use worthless. Folder and files are the server's user's alone.
 */

import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { MeshError } from "../base/error.ts";
import { Secret } from "../base/secret.ts";
import { type AuthorityMaterial, createAuthority } from "../pki/authority.ts";

export interface DataFolder {
  readonly store: string;
  /** Who can open it is the administrator. */
  readonly adminSocket: string;
  /** The dashboard and the API, for whoever signs in or has a token. */
  readonly dashboardSocket: string;
  readonly authority: string;
  readonly adminToken: string;
  readonly sessions: string;
}

export async function openDataFolder(path: string): Promise<DataFolder> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    // SQLite gives its journals the mode of the file itself, which it would make readable to all.
    await (await open(join(path, "objects.db"), "a", 0o600)).close();
  } catch (cause) {
    throw new MeshError("server.data", `make data folder ${path}`, { cause, fault: "host" });
  }
  return {
    store: join(path, "objects.db"),
    adminSocket: join(path, "admin.sock"),
    dashboardSocket: join(path, "dashboard.sock"),
    authority: join(path, "authority.pem"),
    adminToken: join(path, "admin-token"),
    sessions: join(path, "sessions.json"),
  };
}

/** What was kept, or a new root, which is kept before it is used. */
export async function keptAuthority(
  { authority }: DataFolder,
  trustDomain: string,
  now: () => number,
): Promise<AuthorityMaterial> {
  const kept = await readIfThere(authority);
  if (kept !== undefined) return parseAuthority(kept, authority);
  const made = await createAuthority(trustDomain, now);
  await keepFile(authority, made.keyPem.reveal() + made.rootPem);
  return made;
}

/** Replaces a file as a whole, readable by the server's user alone; on disk when it resolves. */
export async function keepFile(path: string, text: string): Promise<void> {
  const aside = `${path}.new`;
  try {
    await rm(aside, { force: true });
    const file = await open(aside, "wx", 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
  } catch (cause) {
    throw new MeshError("server.data", `write ${path}`, { cause, fault: "host" });
  }
}

export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new MeshError("server.data", `read ${path}`, { cause, fault: "host" });
  }
}

function parseAuthority(text: string, path: string): AuthorityMaterial {
  const block = (label: string) =>
    new RegExp(`-----BEGIN ${label}-----[^-]+-----END ${label}-----\n?`).exec(text)?.[0];
  const key = block("PRIVATE KEY");
  const rootPem = block("CERTIFICATE");
  if (key === undefined || rootPem === undefined) {
    throw new MeshError("server.data", `read ${path}: want a private key and a certificate`, {
      fault: "host",
    });
  }
  return { keyPem: new Secret(key), rootPem };
}
