/**
 * The semantics of a Store, over any journal: versions, compare-and-swap, unique identities, watches.
 *
 * Objects live in memory; the journal is read once and then only written. Writes that arrive in the same turn of the
 * event loop are committed together (one disk flush for all), and each is answered after its commit, so that nothing
 * acknowledged is ever lost and nobody reads what may still fail. When a commit fails, its writes are undone in memory
 * and every one of them is refused.
 *
 * Not here: what objects mean (defaults, generations, graceful deletion: server/api), and the disk (journal.ts).
 */

import type { Resource } from "../api/resource.ts";
import { MeshError } from "../base/error.ts";
import { sameJson } from "../base/json.ts";
import { History } from "./history.ts";
import type { Journal } from "./journal.ts";
import type { ObjectKey, Store, StoreEvent } from "./store.ts";

export interface LedgerOptions {
  readonly journal: Journal;
  /** How many changes a watcher may be behind. */
  readonly historyBound: number;
  readonly now: () => number;
  readonly newUid: () => string;
}

interface Write {
  readonly run: () => StoreEvent | Resource;
  readonly resolve: (object: Resource) => void;
  readonly reject: (error: unknown) => void;
}

export function openLedger(options: LedgerOptions): Store {
  const { journal, now, newUid } = options;
  const loaded = journal.load();
  const objects = new Map<string, Map<string, Resource>>();
  for (const object of loaded.objects) place(object);
  const history = new History(
    options.historyBound,
    (loaded.recent[0]?.version ?? loaded.version + 1) - 1,
  );
  history.append(loaded.recent);

  let version = loaded.version;
  let queue: Write[] = [];
  let closed = false;

  function place(object: Resource): void {
    const ofKind = objects.get(object.kind) ?? new Map<string, Resource>();
    objects.set(object.kind, ofKind);
    ofKind.set(slot(object.metadata.namespace, object.metadata.name), object);
  }

  const stored = (key: ObjectKey): Resource | undefined =>
    objects.get(key.kind)?.get(slot(key.namespace, key.name));

  function enqueue(run: Write["run"]): Promise<Resource> {
    if (closed) {
      return Promise.reject(new MeshError("store.closed", "write to a store that was closed"));
    }
    return new Promise((resolve, reject) => {
      queue.push({ run, resolve, reject });
      if (queue.length === 1) setImmediate(flush);
    });
  }

  function flush(): void {
    const batch = queue;
    queue = [];
    const before = version;
    const events: StoreEvent[] = [];
    const answers: (() => void)[] = [];
    const undo: (() => void)[] = [];
    for (const write of batch) {
      try {
        const outcome = write.run();
        if (!("object" in outcome)) {
          answers.push(() => write.resolve(outcome));
          continue;
        }
        const previous = outcome.previous;
        const { object } = outcome;
        if (outcome.type === "deleted") objects.get(object.kind)?.delete(slotOf(object));
        else place(object);
        undo.push(() => {
          if (previous === undefined) objects.get(object.kind)?.delete(slotOf(object));
          else place(previous);
        });
        version = outcome.version;
        events.push(outcome);
        answers.push(() => write.resolve(object));
      } catch (error) {
        answers.push(() => write.reject(error));
      }
    }
    if (events.length > 0) {
      try {
        journal.commit(events);
      } catch (cause) {
        for (const step of undo.reverse()) step();
        version = before;
        const error = new MeshError("store.unavailable", `write ${events.length} objects`, {
          cause,
          fault: "host",
          retryable: true,
        });
        for (const write of batch) write.reject(error);
        return;
      }
      history.append(events);
    }
    for (const answer of answers) answer();
  }

  return {
    get: async (key) => stored(key),

    async list(kind, namespace) {
      const found: Resource[] = [];
      const wanted = kind === undefined ? objects.values() : [objects.get(kind) ?? new Map()];
      for (const ofKind of wanted) {
        for (const object of ofKind.values()) {
          if (namespace === undefined || (object.metadata.namespace ?? "") === namespace) {
            found.push(object);
          }
        }
      }
      return { version, objects: found.sort(byName) };
    },

    create: (object) =>
      enqueue(() => {
        const key = keyOf(object);
        if (stored(key) !== undefined) {
          throw new MeshError("store.exists", `create ${render(key)}: it exists`, {
            fault: "user",
          });
        }
        const created = copy(object, {
          uid: object.metadata.uid ?? newUid(),
          creationTimestamp: object.metadata.creationTimestamp ?? timestamp(now()),
          resourceVersion: String(version + 1),
        });
        return { type: "added", version: version + 1, object: created };
      }),

    update: (object) =>
      enqueue(() => {
        const key = keyOf(object);
        const previous = stored(key);
        if (previous === undefined) throw absent("update", key);
        const { resourceVersion, uid } = object.metadata;
        if (
          resourceVersion !== undefined &&
          resourceVersion !== previous.metadata.resourceVersion
        ) {
          throw new MeshError(
            "store.conflict",
            `update ${render(key)}: version ${resourceVersion} was replaced by ${previous.metadata.resourceVersion}`,
            { fault: "user", retryable: true },
          );
        }
        if (uid !== undefined && uid !== previous.metadata.uid) throw replaced("update", key, uid);
        const identity = {
          uid: previous.metadata.uid ?? newUid(),
          creationTimestamp: previous.metadata.creationTimestamp ?? timestamp(now()),
        };
        const same = previous.metadata.resourceVersion ?? "";
        if (sameJson(copy(object, { ...identity, resourceVersion: same }), previous))
          return previous;
        const updated = copy(object, { ...identity, resourceVersion: String(version + 1) });
        return { type: "modified", version: version + 1, object: updated, previous };
      }),

    delete: (key, uid) =>
      enqueue(() => {
        const previous = stored(key);
        if (previous === undefined) throw absent("delete", key);
        if (uid !== undefined && uid !== previous.metadata.uid) throw replaced("delete", key, uid);
        const metadata = { ...previous.metadata, resourceVersion: String(version + 1) };
        return {
          type: "deleted",
          version: version + 1,
          object: { ...previous, metadata },
          previous,
        };
      }),

    watch: (from, signal) => history.after(from, signal),

    async close() {
      closed = true;
      if (queue.length > 0) flush();
      journal.close();
    },
  };
}

/** A copy that nobody else holds, with the fields that only the store decides. */
function copy(
  object: Resource,
  decided: { uid: string; creationTimestamp: string; resourceVersion: string },
): Resource {
  // By way of text, so that memory holds exactly what a restart would read back.
  const plain = JSON.parse(JSON.stringify(object)) as Resource;
  return { ...plain, metadata: { ...plain.metadata, ...decided } };
}

/** Kubernetes writes whole seconds. */
function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

function slot(namespace: string | undefined, name: string): string {
  return `${namespace ?? ""}/${name}`;
}

function slotOf(object: Resource): string {
  return slot(object.metadata.namespace, object.metadata.name);
}

function keyOf(object: Resource): ObjectKey {
  const { namespace, name } = object.metadata;
  return { kind: object.kind, namespace: namespace ?? "", name };
}

function render(key: ObjectKey): string {
  return `${key.kind} ${key.namespace === "" ? key.name : `${key.namespace}/${key.name}`}`;
}

function absent(verb: string, key: ObjectKey): MeshError {
  return new MeshError("store.absent", `${verb} ${render(key)}: there is none`, { fault: "user" });
}

function replaced(verb: string, key: ObjectKey, uid: string): MeshError {
  return new MeshError(
    "store.conflict",
    `${verb} ${render(key)}: the one with uid ${uid} is gone, another has its name`,
    { fault: "user" },
  );
}

function byName(a: Resource, b: Resource): number {
  return compare(a.kind, b.kind) || compare(slotOf(a), slotOf(b));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
