/**
 * The dashboard's files, as `npm run build:dashboard` left them: read once when the server starts, so that every page
 * of a server is of one build, whatever happens to the folder.
 *
 * Vite puts a hash of the content into the name of every file but the page itself. So the page is never cached, and
 * everything else is for ever. What was compressed at build time (`x.js.gz`) is sent as it is.
 */

import { readdir, readFile } from "node:fs/promises";
import { extname, join, relative } from "node:path";

export interface Asset {
  readonly body: Buffer;
  readonly gzip?: Buffer;
  readonly type: string;
  readonly cacheControl: string;
}

/** By path of the URL; `/` is the page. */
export type Bundle = ReadonlyMap<string, Asset>;

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Empty where there is no build. */
export async function loadBundle(folder: string): Promise<Bundle> {
  const assets = new Map<string, Asset>();
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    const type = types[extname(entry.name)];
    if (!entry.isFile() || type === undefined) continue;
    const file = join(entry.parentPath, entry.name);
    const path = relative(folder, file);
    const gzip = await readFile(`${file}.gz`).catch(() => undefined);
    assets.set(path === "index.html" ? "/" : `/${path}`, {
      body: await readFile(file),
      ...(gzip && { gzip }),
      type,
      cacheControl: path.startsWith("assets/") ? "public, max-age=31536000, immutable" : "no-store",
    });
  }
  return assets;
}
