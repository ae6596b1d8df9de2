/** google.protobuf.Struct ⇄ plain JSON objects: node metadata, endpoint metadata, cluster metadata. */

import type { Json } from "../../base/json.ts";
import type { Struct, Value } from "./gen/message-types.ts";

export type JsonObject = { readonly [key: string]: Json };

export function encodeStruct(object: JsonObject): Struct {
  return {
    fields: Object.fromEntries(
      Object.entries(object).map(([key, value]) => [key, encodeValue(value)]),
    ),
  };
}

export function decodeStruct(struct: Struct | undefined): JsonObject {
  return Object.fromEntries(
    Object.entries(struct?.fields ?? {}).map(([key, value]) => [key, decodeValue(value)]),
  );
}

function encodeValue(value: Json): Value {
  switch (typeof value) {
    case "string":
      return { stringValue: value };
    case "number":
      return { numberValue: value };
    case "boolean":
      return { boolValue: value };
    default:
      if (value === null) return { nullValue: 0 };
      return isList(value)
        ? { listValue: { values: value.map(encodeValue) } }
        : { structValue: encodeStruct(value) };
  }
}

function decodeValue(value: Value): Json {
  if (value.structValue !== undefined) return decodeStruct(value.structValue);
  if (value.listValue !== undefined) return (value.listValue.values ?? []).map(decodeValue);
  return value.stringValue ?? value.numberValue ?? value.boolValue ?? null;
}

function isList(value: readonly Json[] | JsonObject): value is readonly Json[] {
  return Array.isArray(value);
}

/** The text at `path`, or undefined where something else is there. */
export function textAt(object: JsonObject, ...path: readonly string[]): string | undefined {
  let value: Json | undefined = object;
  for (const key of path) {
    if (value === null || typeof value !== "object" || isList(value)) return undefined;
    value = value[key];
  }
  return typeof value === "string" ? value : undefined;
}
