/**
 * What an object becomes when a writer sends one: which fields are the writer's, which are the server's.
 *
 * A pure function of both. `status` belongs to the status subresource: a write to the object keeps the stored one, and
 * the other way round. Nodes are the exception, as kubelets register themselves with their status in one write.
 */

import { kindNamed } from "../../api/kinds.ts";
import type { ObjectMeta, Resource } from "../../api/resource.ts";
import { sameJson } from "../../base/json.ts";
import type { Random } from "../../base/random.ts";
import type { Part } from "./objects.ts";

type Stored = Resource & { readonly status?: unknown };

export function nextState(
  current: Stored | undefined,
  sent: Stored,
  part: Part,
  nowMs: number,
): Resource {
  if (current === undefined) return created(sent, nowMs);
  if (part === "status") return withStatus(current, sent.status);
  const body =
    sent.kind === "Node" && sent.status !== undefined ? sent : withStatus(sent, current.status);
  const { generation = 1 } = current.metadata;
  const changed = !sameJson(intent(body), intent(current));
  return stored(body, {
    ...metadataOf(sent),
    ...pick(current.metadata, serverFields),
    generation: changed ? generation + 1 : generation,
  });
}

/** The object with a name made from `generateName`, where it has no other; else the same object. */
export function generatedName(object: Resource, random: Random): Resource {
  const { name, generateName } = object.metadata;
  if (name || !generateName) return object;
  return { ...object, metadata: { ...object.metadata, name: generateName + suffix(random) } };
}

/** Kubernetes' letters: no vowels, so no words. */
const letters = "bcdfghjklmnpqrstvwxz2456789";

export function suffix(random: Random): string {
  return Array.from({ length: 5 }, () => letters[Math.floor(random() * letters.length)]).join("");
}

function created(sent: Stored, nowMs: number): Resource {
  const status = initialStatus(sent);
  return stored(withStatus(sent, status), {
    ...metadataOf(sent),
    generation: 1,
    creationTimestamp: `${new Date(nowMs).toISOString().slice(0, 19)}Z`,
  });
}

function initialStatus(sent: Stored): unknown {
  switch (sent.kind) {
    case "Node":
      return sent.status;
    case "Pod":
      return { phase: "Pending" };
    case "Namespace":
      return { phase: "Active" };
    default:
      return undefined;
  }
}

/** What only the server decides once the object exists. */
const serverFields = ["uid", "creationTimestamp", "deletionTimestamp"] as const;

/** The writer's metadata, without what writers may echo but never set. */
function metadataOf({ metadata }: Resource): ObjectMeta {
  const {
    uid: _,
    resourceVersion: __,
    generation: ___,
    creationTimestamp: ____,
    deletionTimestamp: _____,
    generateName: ______,
    ...own
  } = metadata;
  return own;
}

/** The object in its stored version. */
function stored(object: Resource, metadata: ObjectMeta): Resource {
  const apiVersion = kindNamed(object.kind)?.apiVersions[0] ?? object.apiVersion;
  return { ...object, apiVersion, metadata };
}

function withStatus(object: Stored, status: unknown): Resource {
  const { status: _, ...rest } = object;
  return status === undefined ? rest : ({ ...rest, status } as Resource);
}

/** What a change of makes a new generation: everything but metadata and status. */
function intent(object: Stored): unknown {
  const { metadata: _, status: __, apiVersion: ___, ...rest } = object;
  return rest;
}

function pick<T, K extends keyof T>(value: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(
    keys.filter((key) => value[key] !== undefined).map((key) => [key, value[key]]),
  ) as Pick<T, K>;
}
