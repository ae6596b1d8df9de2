/**
 * Sends manifests to the server, or takes them back: what `heddle apply`, `heddle delete` and the lab do.
 */

import { type Resource, titleOf } from "../api/resource.ts";
import { MeshError } from "../base/error.ts";
import type { ObjectClient } from "../rpc/object-client.ts";

/**
 * Creates or changes each object, one kind after the other in the given order, objects of one kind at once; stops after
 * the kind of which the server refuses something. Gives the version of the last change, 0 without one.
 */
export async function applyObjects(
  client: ObjectClient,
  objects: readonly Resource[],
  report: (line: string) => void,
): Promise<number> {
  let version = 0;
  for (const group of byKind(objects)) {
    const applied = await Promise.allSettled(group.map((object) => applyObject(client, object)));
    const refused = applied.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
    for (const one of applied) {
      if (one.status === "rejected") continue;
      version = Math.max(version, one.value.version);
      report(one.value.line);
    }
    if (refused.length === 1) throw refused[0];
    if (refused.length > 1) throw new AggregateError(refused, "apply");
  }
  return version;
}

async function applyObject(
  client: ObjectClient,
  object: Resource,
): Promise<{ readonly version: number; readonly line: string }> {
  try {
    const { kind, metadata } = object;
    const before = await client.get(kind, metadata.namespace ?? "", metadata.name);
    const after: Resource = await client.apply(object);
    const isSame = before?.metadata.resourceVersion === after.metadata.resourceVersion;
    const what = before === undefined ? "created" : isSame ? "unchanged" : "changed";
    return {
      version: Number(after.metadata.resourceVersion ?? 0),
      line: `${titleOf(after)} ${what}`,
    };
  } catch (cause) {
    throw new MeshError("cli.apply", `apply ${titleOf(object)}`, { cause, fault: "user" });
  }
}

/** Runs of objects of one kind. The same object twice: the later comes after the earlier. */
function byKind(objects: readonly Resource[]): Resource[][] {
  const groups: Resource[][] = [];
  const names = new Set<string>();
  for (const object of objects) {
    const last = groups.at(-1);
    const name = titleOf(object);
    if (last?.[0]?.kind === object.kind && !names.has(name)) last.push(object);
    else {
      groups.push([object]);
      names.clear();
    }
    names.add(name);
  }
  return groups;
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
    report(`${titleOf(object)} deleted`);
  }
}
