/** JSON as values: comparing and copying, where objects may differ only in the order of their fields. */

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** True where both have the same content. Fields that are undefined count as absent, as they do on the wire. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, index) => sameJson(item, b[index]));
  }
  const left = definedEntries(a);
  const right = new Map(definedEntries(b));
  return (
    left.length === right.size &&
    left.every(([key, value]) => right.has(key) && sameJson(value, right.get(key)))
  );
}

/** Text that is equal for equal content: fields sorted, at every depth. What hashes are made of. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (isRecord(value)) {
    const fields = definedEntries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`);
    return `{${fields.join(",")}}`;
  }
  return JSON.stringify(value) ?? "null";
}

/** Without fields that are null, at any depth; the same value where there are none. Items of lists stay. */
export function withoutNulls<T>(value: T): T {
  if (Array.isArray(value)) {
    const items = value.map(withoutNulls);
    return items.every((item, index) => item === value[index]) ? value : (items as T);
  }
  if (!isRecord(value)) return value;
  const entries = Object.entries(value);
  const kept = entries
    .filter(([, field]) => field !== null)
    .map(([key, field]) => [key, withoutNulls(field)] as const);
  const isSame =
    kept.length === entries.length && kept.every(([key, field]) => field === value[key]);
  return isSame ? value : (Object.fromEntries(kept) as T);
}

/** True for JSON objects: not for null, not for lists. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function definedEntries(value: object): [string, unknown][] {
  return Object.entries(value).filter(([, field]) => field !== undefined);
}
