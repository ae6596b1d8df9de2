/**
 * A check looks at one value and says at its place what is wrong with it.
 *
 * Schemas are checks put together from smaller ones: `record` looks at fields, `list` at items, `refine` adds what no
 * single field shows. A schema reads like the kind's reference page, and all issues of an object come at once.
 */

import { withoutNulls } from "../../../base/json.ts";
import type { Issue } from "../issue.ts";

export type Check = (value: unknown, at: Place) => void;

/** Where in the object a value is, and where issues go. */
export interface Place {
  readonly path: string;
  error(message: string): void;
  warning(message: string): void;
  /** The place of a field: `spec.ports`. */
  field(name: string): Place;
  /** The place of an item: `ports[0]`. */
  item(index: number): Place;
  /** The place of a map's entry: `labels["app"]`. */
  entry(key: string): Place;
  /** The paths of all errors so far, anywhere in the object. */
  errors(): readonly string[];
}

/** Runs a check on a whole object. */
export function issuesOf(check: Check, value: unknown, path = ""): readonly Issue[] {
  const issues: Issue[] = [];
  check(value, placeAt(path, issues));
  return issues;
}

function placeAt(path: string, issues: Issue[]): Place {
  return {
    path,
    error: (message) => void issues.push({ path, message, severity: "error" }),
    warning: (message) => void issues.push({ path, message, severity: "warning" }),
    field: (name) => placeAt(path === "" ? name : `${path}.${name}`, issues),
    item: (index) => placeAt(`${path}[${index}]`, issues),
    entry: (key) => placeAt(`${path}[${JSON.stringify(key)}]`, issues),
    errors: () => issues.filter(({ severity }) => severity === "error").map((issue) => issue.path),
  };
}

/**
 * Adds what no single field shows. The rule runs only where the shape of what it reads is right (`reads`: names of
 * fields, such as `ports` or `template.metadata`; everything where absent), so it may take that for granted; a mistake
 * elsewhere does not hide what it finds. Fields that are null are absent to it.
 */
export function refine<T>(
  shape: Check,
  rule: (value: T, at: Place) => void,
  reads?: readonly string[],
): Check {
  return (value, at) => {
    const before = at.errors().length;
    shape(value, at);
    const errors = at.errors().slice(before);
    const wrong = reads === undefined ? errors : errors.filter((path) => concerns(path, at, reads));
    if (wrong.length === 0) rule(withoutNulls(value) as T, at);
  };
}

/** True for errors of the value itself, of what is read, and of what that is in. */
function concerns(path: string, at: Place, reads: readonly string[]): boolean {
  if (path === at.path) return true;
  return reads.some((field) => {
    const read = at.field(field).path;
    const inside = path.startsWith(`${read}.`) || path.startsWith(`${read}[`);
    return path === read || inside || read.startsWith(`${path}.`);
  });
}

/** The value as messages show it. */
export function shown(value: unknown): string {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value === "string") return JSON.stringify(shortened(value));
  return typeName(value);
}

/** What JSON calls the value's type. */
export function typeName(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "list";
  return typeof value;
}

function shortened(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
