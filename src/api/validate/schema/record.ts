/** Checks of what holds other values: records with known fields, maps with any keys, lists. */

import { isRecord } from "../../../base/json.ts";
import { nearest } from "../nearest.ts";
import { type Check, typeName } from "./check.ts";

/** The fields of a record; `!` after a name: it is required. */
export type Fields = Readonly<Record<string, Check>>;

/**
 * A record with these fields. Others are a warning that names the field probably meant. As in Kubernetes, a field
 * that is null counts as absent.
 */
export function record(fields: Fields): Check {
  const known = new Map(
    Object.entries(fields).map(([key, check]) => {
      const required = key.endsWith("!");
      return [required ? key.slice(0, -1) : key, { check, required }] as const;
    }),
  );
  const names = [...known.keys()];
  return (value, at) => {
    if (!isRecord(value)) {
      at.error(`must be an object, got ${typeName(value)}`);
      return;
    }
    for (const [key, { check, required }] of known) {
      const field = value[key];
      if (field !== undefined && field !== null) check(field, at.field(key));
      else if (required) at.field(key).error("is required");
    }
    for (const key of Object.keys(value)) {
      if (known.has(key) || value[key] === null) continue;
      const [guess] = nearest(key, names, 1);
      at.field(key).warning(
        `unknown field${guess === undefined ? "" : `, did you mean ${guess}?`}`,
      );
    }
  };
}

/** A list of such items, at least `least` of them. */
export function list(item: Check, least = 0): Check {
  return (value, at) => {
    if (!Array.isArray(value)) at.error(`must be a list, got ${typeName(value)}`);
    else if (value.length < least)
      at.error(`must have ${least} or more items, got ${value.length}`);
    else for (const [index, one] of value.entries()) item(one, at.item(index));
  };
}

/** A map from any key to such values; `key` looks at the keys. */
export function mapOf(entry: Check, key?: Check): Check {
  return (value, at) => {
    if (!isRecord(value)) {
      at.error(`must be an object, got ${typeName(value)}`);
      return;
    }
    for (const [name, one] of Object.entries(value)) {
      key?.(name, at.entry(name));
      entry(one, at.entry(name));
    }
  };
}
