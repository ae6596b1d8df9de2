/**
 * The writing verbs: POST creates, PUT replaces, PATCH merges or applies, DELETE removes.
 *
 * PATCH by media type: merge patch, JSON patch, apply (server-side apply, see managed-fields.ts), and strategic merge,
 * which is taken as a merge patch for now: lists are replaced, not merged by key.
 */

import type { IncomingMessage } from "node:http";
import type { Resource } from "../../api/resource.ts";
import { MeshError } from "../../base/error.ts";
import { isRecord } from "../../base/json.ts";
import { mergePatch } from "../../base/merge-patch.ts";
import { badRequest, mediaType, readBody, recordBody } from "./body.ts";
import { type Caller, checkRead, checkWrite, isOpenToContainers } from "./caller.ts";
import { jsonPatch } from "./json-patch.ts";
import { applyFields } from "./managed-fields.ts";
import type { Objects, WriteOptions, Written } from "./objects.ts";
import type { Target } from "./paths.ts";
import { success } from "./status.ts";
import { shown } from "./watch.ts";

export interface Answer {
  readonly code: number;
  readonly body: unknown;
  readonly warnings?: readonly string[];
}

export async function serveWrite(
  objects: Objects,
  caller: Caller,
  target: Target,
  request: IncomingMessage,
  query: URLSearchParams,
): Promise<Answer> {
  // A patch reads, and refusals quote what it made: who may not read a kind may not write it either.
  checkRead(caller, target.kind.kind);
  const isOpen = await targetIsOpen(objects, caller, target);
  const options: WriteOptions = {
    fieldValidation: fieldValidation(query),
    dryRun: query.has("dryRun"),
    guard: (current, next) => checkWrite(caller, target.part, current, next, isOpen),
  };
  const written = (code: number, { object, warnings }: Written): Answer => ({
    code,
    body: shown(object, target),
    warnings,
  });
  const collection = target.name === undefined;
  const body = await readBody(request);

  switch (request.method) {
    case "POST": {
      if (!collection) break;
      return written(201, await objects.create(objectOf(target, body), options));
    }
    case "PUT": {
      if (collection) break;
      return written(200, await objects.update(objectOf(target, body), target.part, options));
    }
    case "PATCH": {
      if (collection) break;
      const { created, ...rest } = await patch(objects, target, request, query, body, options);
      return written(created ? 201 : 200, rest);
    }
    case "DELETE": {
      if (collection || target.part === "status") break;
      const object = await objects.delete(keyOf(target), {
        ...options,
        ...deleteOptions(body, query),
      });
      const waits = object.metadata.deletionTimestamp !== undefined;
      return { code: 200, body: waits ? shown(object, target) : success(200) };
    }
  }
  throw new MeshError(
    "api.method",
    `${request.method} is not allowed on ${collection ? "a collection of" : "one of"} ${target.kind.resource}`,
    { fault: "user" },
  );
}

/** Only asked where it matters: of a node that writes a pod. */
async function targetIsOpen(objects: Objects, caller: Caller, target: Target): Promise<boolean> {
  const { namespace = "" } = target;
  if (caller.kind !== "node" || target.kind.kind !== "Pod" || namespace === "") return false;
  const key = { kind: "Namespace", namespace: "", name: namespace };
  const there = await objects.get(key).catch(() => undefined);
  return isOpenToContainers(namespace, there);
}

function patch(
  objects: Objects,
  target: Target,
  request: IncomingMessage,
  query: URLSearchParams,
  body: unknown,
  options: WriteOptions,
) {
  const type = mediaType(request);
  const key = keyOf(target);
  const change = (merge: (current: Resource) => unknown) =>
    objects.change(
      key,
      target.part,
      (current) => {
        if (current === undefined) {
          throw new MeshError("api.absent", `there is no ${key.kind} ${key.name}`, {
            fault: "user",
          });
        }
        return objectOf(target, merge(current));
      },
      options,
    );
  switch (type) {
    case "application/merge-patch+json":
    case "application/strategic-merge-patch+json":
      return change((current) => mergePatch(current, recordBody(body)));
    case "application/json-patch+json":
      return change((current) => jsonPatch(current, body));
    case "application/apply-patch+yaml":
    case "application/apply-patch+json": {
      const wanted = objectOf(target, body);
      const manager = query.get("fieldManager") ?? "unknown";
      const apply = (current: Resource | undefined) => applyFields(current, wanted, manager);
      return objects.change(key, target.part, apply, options);
    }
    default:
      throw new MeshError(
        "api.media-type",
        `patch: want application/merge-patch+json, application/json-patch+json or application/apply-patch+yaml, got "${type}"`,
        { fault: "user" },
      );
  }
}

/** The body as the object that the path names: what the path says need not be said again, nor may it differ. */
function objectOf(target: Target, body: unknown): Resource {
  const record = recordBody(body);
  const { kind } = target;
  const metadata = record["metadata"] ?? {};
  if (!isRecord(metadata)) throw badRequest("read a body: metadata must be an object");
  const { apiVersion = target.apiVersion } = record;
  if (record["kind"] !== undefined && record["kind"] !== kind.kind) {
    throw badRequest(
      `read a body: kind must be ${kind.kind} as in the path, got "${record["kind"]}"`,
    );
  }
  if (!kind.apiVersions.includes(String(apiVersion))) {
    const wanted = kind.apiVersions.join(" or ");
    throw badRequest(
      `read a body: apiVersion of ${kind.kind} must be ${wanted}, got "${apiVersion}"`,
    );
  }
  const { namespace: _, ...rest } = metadata;
  const inPath = { name: target.name, namespace: target.namespace };
  for (const [field, wanted] of Object.entries(inPath)) {
    const got = metadata[field];
    if (got !== undefined && wanted !== undefined && got !== wanted) {
      throw badRequest(
        `read a body: metadata.${field} must be "${wanted}" as in the path, got "${got}"`,
      );
    }
  }
  if (kind.namespaced && target.namespace === undefined) {
    throw badRequest(`write ${kind.kind}: the path must name a namespace`);
  }
  const own = {
    ...rest,
    ...(target.name !== undefined && { name: target.name }),
    ...(target.namespace !== undefined && { namespace: target.namespace }),
  };
  return { ...record, apiVersion, kind: kind.kind, metadata: own } as unknown as Resource;
}

function keyOf({ kind, namespace = "", name = "" }: Target) {
  return { kind: kind.kind, namespace, name };
}

function fieldValidation(query: URLSearchParams): "Strict" | "Warn" | "Ignore" {
  const value = query.get("fieldValidation") ?? "Warn";
  if (value === "Strict" || value === "Warn" || value === "Ignore") return value;
  throw badRequest(`fieldValidation must be one of Strict, Warn, Ignore, got "${value}"`);
}

function deleteOptions(body: unknown, query: URLSearchParams) {
  const options = isRecord(body) ? body : {};
  const preconditions = isRecord(options["preconditions"]) ? options["preconditions"] : {};
  const grace = query.get("gracePeriodSeconds") ?? options["gracePeriodSeconds"] ?? undefined;
  const seconds = grace === undefined ? undefined : Number(grace);
  if (seconds !== undefined && (!Number.isInteger(seconds) || seconds < 0)) {
    throw badRequest(`gracePeriodSeconds must be an integer from 0, got "${grace}"`);
  }
  const { uid, resourceVersion } = preconditions;
  return {
    ...(seconds !== undefined && { gracePeriodSeconds: seconds }),
    ...(typeof uid === "string" && { uid }),
    ...(typeof resourceVersion === "string" && { resourceVersion }),
  };
}
