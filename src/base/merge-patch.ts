/** JSON merge patch (RFC 7396): objects merge field by field, null removes, everything else replaces. */

import { isRecord } from "./json.ts";

export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const merged: Record<string, unknown> = isRecord(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else if (value !== undefined) setField(merged, key, mergePatch(merged[key], value));
  }
  return merged;
}

/** Sets a field as data: a key such as `__proto__` must not reach the prototype. */
export function setField(target: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(target, key, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}
