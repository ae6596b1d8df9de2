/**
 * The server's folder: the store, the authority's root, the administrator's socket.
 *
 * The authority is one file, written aside and renamed into place, so that there is either a whole one or none; losing
 * it would make every certificate in use worthless. Folder and files are the server's user's alone.
 */

import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { MeshError } from "../base/error.ts";
import { Secret } from "../base/secret.ts";
import { type AuthorityMaterial, createAuthority } from "../pki/authority.ts";

export interface DataFolder {
  readonly store: string;
  readonly adminSocket: string;
  readonly authority: string;
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
    authority: join(path, "authority.pem"),
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
  const aside = `${authority}.new`;
  await rm(aside, { force: true });
  const file = await open(aside, "wx", 0o600);
  try {
    await file.writeFile(made.keyPem.reveal() + made.rootPem);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(aside, authority);
  return made;
}

async function readIfThere(path: string): Promise<string | undefined> {
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
