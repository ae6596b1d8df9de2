/** The repository's own files, for the tests that hold it to its rules. */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const root: string = join(dirname(fileURLToPath(import.meta.url)), "../..");

const skipped = new Set(["node_modules", ".git", "build", "gen", "dist", ".cache"]);

/** Paths relative to the root, sorted, of the files below `folder` whose name ends with `suffix`. */
export function filesBelow(folder: string, suffix: string): readonly string[] {
  const found: string[] = [];
  const walk = (path: string): void => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (skipped.has(entry.name)) continue;
      const full = join(path, entry.name);
      if (entry.isDirectory()) walk(full);
      else if (entry.name.endsWith(suffix)) found.push(relative(root, full));
    }
  };
  walk(join(root, folder));
  return found.sort();
}

export function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}
