/**
 * What a container is called and labelled, from the files of the runtime that made it.
 *
 * CNI tells a plugin an id and nothing else that people chose. The runtimes know the rest, but cannot be asked just
 * now: Podman holds the container's lock while it waits for its network, and its command would wait for that lock. Both
 * keep what they know in a Bolt file that is complete before the network is asked for, so that is read, without a lock
 * and without a change (wire/bolt). A container that no file knows is one of a runtime without labels (cnitool).
 */

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "../../base/error.ts";
import { isRecord } from "../../base/json.ts";
import { decodeUtf8 } from "../../base/utf8.ts";
import { type BoltBucket, openBolt } from "../../wire/bolt/bolt.ts";

export interface ContainerFacts {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Where runtimes keep their state. */
export interface RuntimeRoots {
  /** Podman's storage, its `graphroot`. */
  readonly podman: string;
  /** containerd's `root`. */
  readonly containerd: string;
}

export const usualRoots: RuntimeRoots = {
  podman: "/var/lib/containers/storage",
  containerd: "/var/lib/containerd",
};

/**
 * Undefined for a container that neither runtime has. Throws `agent.runtime.unreadable` where a file cannot be read:
 * a container without its labels would be one that no policy selects.
 */
export function containerFacts(id: string, roots: RuntimeRoots): ContainerFacts | undefined {
  return (
    inBolt(join(roots.podman, "libpod/bolt_state.db"), (root) => podmanContainer(root, id)) ??
    inBolt(join(roots.containerd, "io.containerd.metadata.v1.bolt/meta.db"), (root) =>
      containerdContainer(root, id),
    )
  );
}

/** One JSON document for each container, by id. */
function podmanContainer(root: BoltBucket, id: string): ContainerFacts | undefined {
  const document = root.bucket("ctr")?.bucket(id)?.get("config");
  if (document === undefined) return undefined;
  const config: unknown = JSON.parse(decodeUtf8(document));
  if (!isRecord(config)) throw new SyntaxError("want an object");
  return {
    name: typeof config["name"] === "string" ? config["name"] : id,
    labels: textsOf(config["labels"]),
  };
}

/**
 * A bucket for each namespace, in it one for each container, in it one for its labels. `ctr` calls a container
 * `<namespace>-<id>` to its network, and both may have a hyphen.
 */
function containerdContainer(root: BoltBucket, fullId: string): ContainerFacts | undefined {
  const namespaces = root.bucket("v1");
  for (const namespace of namespaces?.keys() ?? []) {
    if (!fullId.startsWith(`${namespace}-`)) continue;
    const id = fullId.slice(namespace.length + 1);
    const container = namespaces?.bucket(namespace)?.bucket("containers")?.bucket(id);
    if (container === undefined) continue;
    const labels = container.bucket("labels");
    const pairs = (labels?.keys() ?? []).map((key): [string, string] => {
      const value = labels?.get(key);
      return [key, value === undefined ? "" : decodeUtf8(value)];
    });
    return { name: id, labels: Object.fromEntries(pairs) };
  }
  return undefined;
}

function textsOf(value: unknown): Readonly<Record<string, string>> {
  if (!isRecord(value)) return {};
  const pairs = Object.entries(value).filter(
    (pair): pair is [string, string] => typeof pair[1] === "string",
  );
  return Object.fromEntries(pairs);
}

const attempts = 5;

/** What `look` finds in a file; undefined where there is no file. */
function inBolt<T>(path: string, look: (root: BoltBucket) => T): T | undefined {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw unreadable(path, error);
  }
  try {
    // A file of no bytes has been made a moment ago, and has nothing in it.
    if (fstatSync(file).size === 0) return undefined;
    let failure: unknown = new SyntaxError(`it changed during each of ${attempts} tries`);
    for (let attempt = 0; attempt < attempts; attempt++) {
      try {
        const bolt = openBolt((offset, length) => readExactly(file, offset, length));
        const found = look(bolt.root);
        if (bolt.isCurrent()) return found;
      } catch (error) {
        failure = error; // perhaps only because a writer was at it
      }
    }
    throw unreadable(path, failure);
  } finally {
    closeSync(file);
  }
}

function readExactly(file: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const read = readSync(file, bytes, 0, length, offset);
  if (read < length) throw new SyntaxError(`the file ends at ${offset + read}`);
  return bytes;
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function unreadable(path: string, cause: unknown): MeshError {
  return new MeshError("agent.runtime.unreadable", `read containers' labels from ${path}`, {
    cause,
    fault: "host",
    retryable: true,
  });
}
