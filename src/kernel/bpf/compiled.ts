/**
 * The programs that set-up compiled (`scripts/bpf.sh`), as far as they are those of the sources beside this file.
 *
 * A file that another release's set-up left loads as well as ours, and reads the bytes of our maps as others. So set-up
 * writes beside each what it was compiled from, and a program of anything else is refused.
 */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "../../base/error.ts";

export interface Places {
  /** Of `<name>.bpf.c` and the headers that any of them may include. */
  readonly sources: string;
  /** Of `<name>.o` and `<name>.hash`. */
  readonly compiled: string;
  /** What compiles them: how it does counts as well. */
  readonly compiler: string;
}

const root = join(import.meta.dirname, "../../..");
export const usualPlaces: Places = {
  sources: import.meta.dirname,
  compiled: join(root, "build/bpf"),
  compiler: join(root, "scripts/bpf.sh"),
};

/** The object file. Throws MeshError `kernel.bpf.uncompiled` or `kernel.bpf.outdated`. */
export function readCompiled(name: string, places: Places = usualPlaces): Uint8Array {
  const object = `${name}.o`;
  const bytes = ifThere(join(places.compiled, object));
  if (bytes === undefined) {
    throw new MeshError(
      "kernel.bpf.uncompiled",
      `load eBPF program ${name}: it was not compiled: install clang and libbpf-dev, and run the set-up again`,
      { fault: "host" },
    );
  }
  const wanted = hashOf(name, places);
  const found = ifThere(join(places.compiled, `${name}.hash`))
    ?.toString("latin1")
    .trim();
  if (wanted === found) return bytes;
  throw new MeshError(
    "kernel.bpf.outdated",
    `load eBPF program ${name}: ${join(places.compiled, object)} was compiled from other sources: want ${wanted}, found ${found ?? "no hash"}: run the set-up again`,
    { fault: "host" },
  );
}

/** As `bpf.sh` makes it. */
function hashOf(name: string, { sources, compiler }: Places): string {
  const headers = readdirSync(sources).filter((file) => /^[^.].*\.h$/.test(file));
  const files = [`${name}.bpf.c`, ...headers.sort()].map((file) => join(sources, file));
  const hash = createHash("sha256");
  for (const file of [...files, compiler]) hash.update(ifThere(file) ?? "");
  return hash.digest("hex").slice(0, 32);
}

function ifThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}
