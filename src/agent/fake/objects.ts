/** An object store in memory behind the client's interface: enough for the agent's tests, without a server. */

import { MeshError } from "../../base/error.ts";
import { isRecord } from "../../base/json.ts";
import type { ApiObject, ObjectClient } from "../../rpc/object-client.ts";

export interface FakeObjects extends ObjectClient {
  readonly all: Map<string, ApiObject>;
  /** Has every call fail for which it gives an error; undefined ends it. */
  failOn(error: ((verb: string, kind: string) => Error | undefined) | undefined): void;
  /** Listings of the kind are answered no more. */
  silence(kind: string): void;
}

export function fakeObjects(): FakeObjects {
  const all = new Map<string, ApiObject>();
  const silent = new Set<string>();
  let versions = 0;
  let fail: ((verb: string, kind: string) => Error | undefined) | undefined;
  const enter = (verb: string, kind: string) => {
    const error = fail?.(verb, kind);
    if (error !== undefined) throw error;
  };
  const keyOf = (kind: string, namespace: string | undefined, name: string) =>
    `${kind} ${namespace ?? ""}/${name}`;
  const put = <T extends ApiObject>(object: T): T => {
    const { kind, metadata } = object;
    versions++;
    const uid = metadata.uid ?? `uid-${versions}`;
    const stored = { ...object, metadata: { ...metadata, uid, resourceVersion: `${versions}` } };
    all.set(keyOf(kind, metadata.namespace, metadata.name), stored);
    return stored;
  };
  return {
    all,
    failOn(error) {
      fail = error;
    },
    silence: (kind) => void silent.add(kind),
    async get<T extends ApiObject>(kind: string, namespace: string, name: string) {
      enter("get", kind);
      return all.get(keyOf(kind, namespace, name)) as T | undefined;
    },
    async list<T extends ApiObject>(kind: string) {
      enter("list", kind);
      if (silent.has(kind)) await new Promise(() => undefined);
      const objects = [...all.values()].filter((each) => each.kind === kind);
      return { version: `${versions}`, objects: objects as unknown as readonly T[] };
    },
    async create(object) {
      enter("create", object.kind);
      const { namespace, name } = object.metadata;
      if (all.has(keyOf(object.kind, namespace, name))) {
        throw new MeshError("api.exists", `create ${object.kind} ${name}`);
      }
      return put(object);
    },
    async update(object) {
      enter("update", object.kind);
      const { namespace, name, resourceVersion } = object.metadata;
      const there = all.get(keyOf(object.kind, namespace, name));
      if (there === undefined) throw new MeshError("api.absent", `update ${object.kind} ${name}`);
      if (resourceVersion !== undefined && resourceVersion !== there.metadata.resourceVersion) {
        throw new MeshError("api.conflict", `update ${object.kind} ${name}`);
      }
      return put(object);
    },
    async patchStatus<T extends ApiObject>(
      kind: string,
      namespace: string,
      name: string,
      status: unknown,
    ) {
      enter("patchStatus", kind);
      const there = all.get(keyOf(kind, namespace, name));
      if (there === undefined) throw new MeshError("api.absent", `patch ${kind} ${name}`);
      const before = "status" in there ? there.status : {};
      return put({ ...there, status: merge(before, status) }) as unknown as T;
    },
    async apply(object) {
      enter("apply", object.kind);
      const { namespace, name } = object.metadata;
      return put({ ...all.get(keyOf(object.kind, namespace, name)), ...object });
    },
    async delete(kind, namespace, name) {
      enter("delete", kind);
      all.delete(keyOf(kind, namespace, name));
    },
    // biome-ignore lint/correctness/useYield: the agent watches views, not objects
    async *watch() {
      throw new MeshError("api.unsupported", "watch objects of the fake");
    },
  };
}

function merge(before: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const merged: Record<string, unknown> = { ...(isRecord(before) ? before : {}) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = merge(merged[key], value);
  }
  return merged;
}
