/**
 * The verbs of the API over the store: what makes a stored object a Kubernetes object.
 *
 * Every writer goes through here, HTTP clients and the server's own controllers alike: validation, defaults, names,
 * generations, the status subresource, graceful deletion and finalizers, Service addresses. Patches are retried against
 * the newest state until they fit, unless the caller named the version it read.
 *
 * Not here: HTTP (handler.ts), who may do what (caller.ts, by way of `guard`), versions and watches (store).
 */

import { withDefaults } from "../../api/defaults.ts";
import type { Service } from "../../api/k8s/core.ts";
import { type Resource, titleOf } from "../../api/resource.ts";
import { type Issue, renderIssue } from "../../api/validate/issue.ts";
import { validateObject } from "../../api/validate/object.ts";
import { MeshError } from "../../base/error.ts";
import { withoutNulls } from "../../base/json.ts";
import type { Random } from "../../base/random.ts";
import { withoutOldType } from "../../core/services/type-change.ts";
import type { ObjectKey, Store } from "../../store/store.ts";
import { checkAddressPlan } from "./address-plan.ts";
import { checkBoundPod } from "./bound-pod.ts";
import { type DeleteOptions, deletion, isReadyToGo } from "./deletion.ts";
import { InvalidObject } from "./invalid.ts";
import { generatedName, nextState } from "./next-state.ts";
import type { ServiceAddresses } from "./service-addresses.ts";

export interface WriteOptions {
  /** What becomes of warnings. Strict refuses the object, Warn tells the writer, Ignore is silent. */
  readonly fieldValidation?: "Strict" | "Warn" | "Ignore";
  /** Goes all the way but the last step. */
  readonly dryRun?: boolean;
  /** Throws where the caller may not make `next` out of `current`. */
  readonly guard?: (current: Resource | undefined, next: Resource | undefined) => void;
}

export interface Written {
  readonly object: Resource;
  readonly warnings: readonly string[];
}

/** What part of an object a write is about: the other part is kept. */
export type Part = "object" | "status";

export interface Objects {
  get(key: ObjectKey): Promise<Resource>;
  create(object: Resource, options?: WriteOptions): Promise<Written>;
  /** Replaces; a version in the object must be the stored one. */
  update(object: Resource, part: Part, options?: WriteOptions): Promise<Written>;
  /**
   * Stores what `change` makes of the newest state, again and again until nobody came between. `change` gets
   * undefined where there is no such object; then its answer is created.
   */
  change(
    key: ObjectKey,
    part: Part,
    change: (current: Resource | undefined) => Resource,
    options?: WriteOptions,
  ): Promise<Written & { readonly created: boolean }>;
  /** The object as it is after: gone, or waiting for its grace period (`deletionTimestamp`). */
  delete(key: ObjectKey, options?: DeleteOptions & WriteOptions): Promise<Resource>;
}

export interface ObjectsOptions {
  readonly store: Store;
  readonly addresses: ServiceAddresses;
  readonly now: () => number;
  readonly random: Random;
}

/** A patch that loses this often has met a writer that never rests. */
const maxAttempts = 50;

export function openObjects({ store, addresses, now, random }: ObjectsOptions): Objects {
  async function get(key: ObjectKey): Promise<Resource> {
    const object = await store.get(key);
    if (object === undefined) throw absent(key);
    return object;
  }

  /** Everything between what a writer sent and what is stored. */
  function admit(
    current: Resource | undefined,
    sent: Resource,
    part: Part,
    options: WriteOptions,
  ): Written {
    const shaped = (object: Resource) =>
      inheriting(current, nextState(current, object, part, now()));
    const next = shaped(sent);
    options.guard?.(current, next);
    if (part === "status") return { object: withoutNulls(next), warnings: [] };
    // Judged as it is written: what asks for a header that is null would ask for none without it.
    const warnings = check(current, next, options);
    const kept = withoutNulls(sent);
    const object = withDefaults(kept === sent ? next : shaped(kept));
    checkBoundPod(current, object);
    return { object, warnings };
  }

  async function createAdmitted({ object, warnings }: Written, dryRun: boolean): Promise<Written> {
    await checkNamespace(object);
    await checkAddressPlan(object, store);
    const write = (admitted: Resource) => (dryRun ? admitted : store.create(admitted));
    return { object: await writeAddressed(object, undefined, write), warnings };
  }

  async function updateAdmitted(
    current: Resource,
    { object, warnings }: Written,
    dryRun: boolean,
  ): Promise<Written> {
    await checkAddressPlan(object, store, current);
    const stored = await writeAddressed(object, current, (addressed) => {
      if (dryRun) return addressed;
      const { resourceVersion, uid } = current.metadata;
      const metadata = { ...addressed.metadata, resourceVersion, uid };
      return store.update({ ...addressed, metadata } as Resource);
    });
    if (dryRun || !isReadyToGo(stored)) return { object: stored, warnings };
    return { object: await remove(stored), warnings };
  }

  /**
   * Writes the object, a Service with the addresses and ports that it is given; what the write does not keep goes back.
   */
  async function writeAddressed(
    object: Resource,
    current: Resource | undefined,
    write: (addressed: Resource) => Resource | Promise<Resource>,
  ): Promise<Resource> {
    if (object.kind !== "Service") return write(object);
    const service = await addresses.claim(object as Service, current as Service | undefined);
    try {
      return await write(service);
    } finally {
      addresses.settle(service, await store.get(keyOf(service)));
    }
  }

  async function remove(object: Resource): Promise<Resource> {
    const removed = await store.delete(keyOf(object), object.metadata.uid);
    addresses.release(removed);
    return removed;
  }

  async function checkNamespace(object: Resource): Promise<void> {
    const namespace = object.metadata.namespace;
    if (namespace === undefined) return;
    const found = await store.get({ kind: "Namespace", namespace: "", name: namespace });
    if (found === undefined) throw absent({ kind: "Namespace", namespace: "", name: namespace });
    if (found.metadata.deletionTimestamp !== undefined) {
      throw new MeshError(
        "api.forbidden",
        `create ${titleOf(object)}: namespace ${namespace} is being deleted`,
        { fault: "user" },
      );
    }
  }

  return {
    get,

    async create(sent, options = {}) {
      for (let attempt = 1; ; attempt++) {
        const named = generatedName(sent, random);
        try {
          const admitted = admit(undefined, named, "object", options);
          return await createAdmitted(admitted, options.dryRun ?? false);
        } catch (error) {
          const unlucky = isCode(error, "store.exists") && named !== sent && attempt < 8;
          if (!unlucky) throw error;
        }
      }
    },

    async update(sent, part, options = {}) {
      const current = await get(keyOf(sent));
      const { resourceVersion, uid } = sent.metadata;
      if (resourceVersion !== undefined && resourceVersion !== current.metadata.resourceVersion) {
        throw conflict(current, `version ${resourceVersion} was replaced, read it again`);
      }
      if (uid !== undefined && uid !== current.metadata.uid) {
        throw conflict(current, `the one with uid ${uid} is gone`);
      }
      const admitted = admit(current, sent, part, options);
      return updateAdmitted(current, admitted, options.dryRun ?? false);
    },

    async change(key, part, change, options = {}) {
      for (let attempt = 1; ; attempt++) {
        const current = await store.get(key);
        const wanted = change(current);
        const version = wanted.metadata.resourceVersion;
        if (current !== undefined && version !== current.metadata.resourceVersion && version) {
          throw conflict(current, `version ${version} was replaced, read it again`);
        }
        try {
          const admitted = admit(current, wanted, part, options);
          const dryRun = options.dryRun ?? false;
          const written =
            current === undefined
              ? await createAdmitted(admitted, dryRun)
              : await updateAdmitted(current, admitted, dryRun);
          return { ...written, created: current === undefined };
        } catch (error) {
          const raced = ["store.conflict", "store.exists", "store.absent"];
          if (attempt === maxAttempts || !raced.some((code) => isCode(error, code))) throw error;
        }
      }
    },

    async delete(key, options = {}) {
      for (let attempt = 1; ; attempt++) {
        const current = await get(key);
        options.guard?.(current, undefined);
        const outcome = deletion(current, options, now());
        if (options.dryRun) return outcome.object;
        try {
          return outcome.gone ? await remove(current) : await store.update(outcome.object);
        } catch (error) {
          if (attempt === maxAttempts || !isCode(error, "store.conflict")) throw error;
        }
      }
    },
  };
}

/** A Service does not take over what only its old type had. */
function inheriting(current: Resource | undefined, next: Resource): Resource {
  return current?.kind === "Service" ? withoutOldType(next as Service, current as Service) : next;
}

/** Refuses errors always and warnings as asked; what the stored object already had is not the writer's doing. */
function check(
  current: Resource | undefined,
  next: Resource,
  { fieldValidation = "Warn" }: WriteOptions,
): readonly string[] {
  const issues = validateObject(next);
  const known = new Set(current === undefined ? [] : validateObject(current).map(renderIssue));
  const warnings = issues.filter(
    (issue) => issue.severity === "warning" && !known.has(renderIssue(issue)),
  );
  const refused: readonly Issue[] = [
    ...issues.filter((issue) => issue.severity === "error"),
    ...(fieldValidation === "Strict" ? warnings : []),
  ];
  if (refused.length > 0) {
    throw new InvalidObject(titleOf(next), refused);
  }
  return fieldValidation === "Ignore" ? [] : warnings.map(renderIssue);
}

export function keyOf(object: Resource): ObjectKey {
  const { namespace = "", name } = object.metadata;
  return { kind: object.kind, namespace, name };
}

function absent({ kind, namespace, name }: ObjectKey): MeshError {
  const what = `${kind} ${namespace === "" ? name : `${namespace}/${name}`}`;
  return new MeshError("api.absent", `there is no ${what}`, { fault: "user" });
}

function conflict(current: Resource, why: string): MeshError {
  const message = `write ${titleOf(current)}: ${why}`;
  return new MeshError("api.conflict", message, { fault: "user", retryable: true });
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof MeshError && error.code === code;
}
