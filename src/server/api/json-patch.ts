/** JSON patch (RFC 6902): add, remove, replace, move, copy, test. A pure function; the target is never changed. */

import { isRecord, sameJson } from "../../base/json.ts";
import { badRequest } from "./body.ts";

export function jsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest("apply a JSON patch: must be a list of operations");
  return patch.reduce((value: unknown, operation: unknown, index) => {
    if (!isRecord(operation)) throw badRequest(`apply a JSON patch: [${index}] must be an object`);
    return step(value, operation, `[${index}]`);
  }, structuredClone(target));
}

function step(root: unknown, operation: Readonly<Record<string, unknown>>, where: string): unknown {
  const path = pointer(operation["path"], where);
  switch (operation["op"]) {
    case "add":
      return add(root, path, structuredClone(operation["value"]), where);
    case "remove":
      return remove(root, path, where);
    case "replace":
      read(root, path, where);
      return add(remove(root, path, where), path, structuredClone(operation["value"]), where);
    case "move": {
      const from = pointer(operation["from"], where);
      const value = read(root, from, where);
      return add(remove(root, from, where), path, value, where);
    }
    case "copy": {
      const value = read(root, pointer(operation["from"], where), where);
      return add(root, path, structuredClone(value), where);
    }
    case "test":
      if (!sameJson(read(root, path, where), operation["value"])) {
        throw badRequest(`apply a JSON patch: ${where} test of ${operation["path"]} does not hold`);
      }
      return root;
    default:
      throw badRequest(
        `apply a JSON patch: ${where}.op must be a known one, got "${operation["op"]}"`,
      );
  }
}

function pointer(text: unknown, where: string): readonly string[] {
  if (typeof text !== "string" || (text !== "" && !text.startsWith("/"))) {
    throw badRequest(`apply a JSON patch: ${where} needs a path that starts with /, got "${text}"`);
  }
  return text
    .split("/")
    .slice(1)
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function read(root: unknown, path: readonly string[], where: string): unknown {
  let value = root;
  for (const token of path) {
    const held = Array.isArray(value) ? isIndex(token) : isRecord(value);
    if (!held || !Object.hasOwn(value as object, token)) throw missing(path, where);
    value = (value as Record<string, unknown>)[token];
  }
  return value;
}

/** Changes the holder of the last token in place: `root` is a copy of our own. */
function add(root: unknown, path: readonly string[], value: unknown, where: string): unknown {
  const token = path.at(-1);
  if (token === undefined) return value;
  const holder = read(root, path.slice(0, -1), where);
  if (Array.isArray(holder)) {
    if (token !== "-" && !isIndex(token)) throw missing(path, where);
    const index = token === "-" ? holder.length : Number(token);
    if (index > holder.length) throw missing(path, where);
    holder.splice(index, 0, value);
  } else if (isRecord(holder)) {
    Object.defineProperty(holder, token, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  } else throw missing(path, where);
  return root;
}

function remove(root: unknown, path: readonly string[], where: string): unknown {
  const token = path.at(-1);
  if (token === undefined) return undefined;
  read(root, path, where);
  const holder = read(root, path.slice(0, -1), where);
  if (Array.isArray(holder)) holder.splice(Number(token), 1);
  else delete (holder as Record<string, unknown>)[token];
  return root;
}

/** RFC 6901 §4: digits without a leading zero; a list's `length` is no member of it. */
function isIndex(token: string): boolean {
  return /^(0|[1-9][0-9]*)$/.test(token);
}

function missing(path: readonly string[], where: string) {
  return badRequest(`apply a JSON patch: ${where} there is no /${path.join("/")}`);
}
