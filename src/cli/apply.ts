/**
 * Sends manifests to the server, or takes them back: what `heddle apply`, `heddle delete` and the lab do.
 */

import type { Resource } from "../api/resource.ts";
import { MeshError } from "../base/error.ts";
import type { ObjectClient } from "../rpc/object-client.ts";

export function describe({ kind, metadata }: Resource): string {
  const { namespace, name } = metadata;
  return `${kind} ${namespace === undefined ? "" : `${namespace}/`}${name}`;
}

/**
 * Creates or changes each object, in the given order; stops at the first that the server refuses. Gives the version
 * of the last change, 0 without one.
 */
export async function applyObjects(
  client: ObjectClient,
  objects: readonly Resource[],
  report: (line: string) => void,
): Promise<number> {
  let version = 0;
  for (const object of objects) {
    try {
      const { kind, metadata } = object;
      const before = await client.get(kind, metadata.namespace ?? "", metadata.name);
      const after: Resource = await client.apply(object);
      version = Math.max(version, Number(after.metadata.resourceVersion ?? 0));
      const isSame = before?.metadata.resourceVersion === after.metadata.resourceVersion;
      report(
        `${describe(after)} ${before === undefined ? "created" : isSame ? "unchanged" : "changed"}`,
      );
    } catch (cause) {
      throw new MeshError("cli.apply", `apply ${describe(object)}`, { cause, fault: "user" });
    }
  }
  return version;
}

/** Deletes each object, last created first; absent is success. */
export async function deleteObjects(
  client: ObjectClient,
  objects: readonly Resource[],
  report: (line: string) => void,
): Promise<void> {
  for (const object of objects.toReversed()) {
    const { namespace = "", name } = object.metadata;
    await client.delete(object.kind, namespace, name);
    report(`${describe(object)} deleted`);
  }
}
