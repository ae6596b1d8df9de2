/** Fields of JSON, each checked with its path: what the parsers beside it are made of. */

import { MeshError } from "../../base/error.ts";
import { isRecord } from "../../base/json.ts";

const maxName = 512;

export function list<T>(
  value: unknown,
  path: string,
  most: number,
  parse: (item: unknown, path: string) => T,
): readonly T[] {
  if (!Array.isArray(value)) throw wrong(path, "a list", value);
  if (value.length > most) throw wrong(path, `at most ${most} entries`, value.length);
  return value.map((item: unknown, index) => parse(item, `${path}[${index}]`));
}

export function record(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (!isRecord(value)) throw wrong(path, "an object", value);
  return value;
}

export function text(value: unknown, path: string, most: number = maxName): string {
  if (typeof value !== "string" || value.length > most) {
    throw wrong(path, `a text of at most ${most} characters`, value);
  }
  return value;
}

export function flag(value: unknown, path: string): boolean {
  if (typeof value !== "boolean") throw wrong(path, "true or false", value);
  return value;
}

export function amount(value: unknown, path: string): number {
  if (typeof value !== "number" || !(value >= 0) || value > Number.MAX_SAFE_INTEGER) {
    throw wrong(path, "a number of at least 0", value);
  }
  return value;
}

export function oneOf<T extends string>(value: unknown, path: string, words: readonly T[]): T {
  const word = words.find((each) => each === value);
  if (word === undefined) throw wrong(path, `one of ${words.join(", ")}`, value);
  return word;
}

export function wrong(path: string, want: string, found: unknown): MeshError {
  const shown = (JSON.stringify(found) ?? "nothing").slice(0, 80);
  return new MeshError(
    "observation.malformed",
    `${path === "" ? "observation" : path}: want ${want}, got ${shown}`,
    { fault: "peer" },
  );
}
