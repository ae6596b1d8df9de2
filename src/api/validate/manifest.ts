/**
 * Manifest files to objects: YAML of several documents, each object with the place it was written at.
 *
 * Everything that is wrong is reported with file, line and column, and nothing stops at the first mistake: what can be
 * read is read. Documents without content are skipped, `kind: List` is its items.
 *
 * Not here: whether an object makes sense (object.ts; `manifestIssues` brings both together).
 */

import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
} from "yaml";
import { isRecord } from "../../base/json.ts";
import { kindNamed, kinds } from "../kinds.ts";
import { type Resource, titleOf } from "../resource.ts";
import { renderIssue } from "./issue.ts";
import { nearest } from "./nearest.ts";
import { validateObject } from "./object.ts";
import { parsePath, type Segment } from "./path.ts";
import { shown, typeName } from "./schema/check.ts";

export interface ManifestObject {
  readonly object: Resource;
  /** The file's name as it was given. */
  readonly source: string;
  /** Which document of the file, from 1. */
  readonly document: number;
  /** Where the object starts, from 1. */
  readonly line: number;
  /** Where the path of an issue is, or the nearest thing above it that was written. */
  place(path: string): Place;
}

export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface ManifestIssue extends Place {
  readonly source: string;
  readonly document: number;
  readonly severity: "error" | "warning";
  /** Says what is wrong and with what, path first. */
  readonly message: string;
}

export interface Manifests {
  readonly objects: readonly ManifestObject[];
  readonly issues: readonly ManifestIssue[];
}

/** `shop.yaml:12:3: VirtualService default/cart: spec.http[0].route: weights must sum to 100, got 90`. */
export function renderManifestIssue({ source, line, column, message }: ManifestIssue): string {
  return `${source}:${line}:${column}: ${message}`;
}

export function parseManifests(text: string, source: string): Manifests {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    merge: true,
    // Twice the same key is an error in YAML, and the second would silently win.
    uniqueKeys: true,
  });
  const objects: ManifestObject[] = [];
  const issues: ManifestIssue[] = [];
  for (const [index, document] of [...documents].entries()) {
    const file: Source = { source, document: index + 1, lines, yaml: document };
    const broken = document.errors;
    for (const error of broken) {
      const message = `malformed YAML: ${uncapitalised(error.message)}`;
      issues.push({ ...issueAt(file, placeOf(lines, error.pos[0]), message) });
    }
    if (broken.length > 0) continue;
    const value = contentOf(file, issues);
    if (value !== undefined && value !== null) read(value, [], file, objects, issues);
  }
  return { objects, issues };
}

/** What is wrong with the object itself, with its places. */
export function manifestIssues(manifest: ManifestObject): readonly ManifestIssue[] {
  const { object, source, document } = manifest;
  const what = titleOf(object);
  return validateObject(object).map((issue) => ({
    source,
    document,
    ...manifest.place(issue.path),
    severity: issue.severity,
    message: `${what}: ${renderIssue(issue)}`,
  }));
}

interface Source {
  readonly source: string;
  readonly document: number;
  readonly lines: LineCounter;
  readonly yaml: Document.Parsed;
}

/** Aliases that grow without bound end here, too. */
function contentOf(file: Source, issues: ManifestIssue[]): unknown {
  try {
    return file.yaml.toJS();
  } catch (error) {
    const why = error instanceof Error ? uncapitalised(error.message) : String(error);
    issues.push(issueAt(file, { line: 1, column: 1 }, `malformed YAML: ${why}`));
    return undefined;
  }
}

/** One value of a document, at `base` in it: an object, or a list of them. */
function read(
  value: unknown,
  base: readonly Segment[],
  file: Source,
  objects: ManifestObject[],
  issues: ManifestIssue[],
): void {
  const place = (path: string) => placeIn(file, [...base, ...parsePath(path)]);
  const refuse = (path: string, message: string) => {
    issues.push(issueAt(file, place(path), path === "" ? message : `${path}: ${message}`));
  };
  if (!isRecord(value)) {
    refuse("", `must be an object, got ${typeName(value)}`);
    return;
  }
  const { kind, items } = value;
  if (typeof kind === "string" && kind.endsWith("List") && Array.isArray(items)) {
    for (const [index, item] of items.entries()) {
      read(item, [...base, "items", index], file, objects, issues);
    }
    return;
  }
  const before = issues.length;
  checkIdentity(value, refuse);
  if (issues.length > before) return;
  const object = value as unknown as Resource; // Its identity is checked, the rest is validation's.
  const { source, document } = file;
  objects.push({ object, source, document, line: place("").line, place });
}

/** What must be right before an object is one at all. */
function checkIdentity(
  value: Readonly<Record<string, unknown>>,
  refuse: (path: string, message: string) => void,
): void {
  const { apiVersion, kind, metadata } = value;
  for (const [field, text] of Object.entries({ apiVersion, kind })) {
    if (text === undefined || text === null || text === "") refuse(field, "is required");
    else if (typeof text !== "string") refuse(field, `must be a string, got ${typeName(text)}`);
  }
  if (typeof kind === "string" && kind !== "") {
    const known = kindNamed(kind);
    if (known === undefined) refuse("kind", unknownKind(kind));
    else if (typeof apiVersion === "string" && apiVersion !== "") {
      if (!known.apiVersions.includes(apiVersion)) {
        const wanted = known.apiVersions.join(" or ");
        refuse("apiVersion", `must be ${wanted} for ${kind}, got ${shown(apiVersion)}`);
      }
    }
  }
  if (metadata === undefined || metadata === null) refuse("metadata.name", "is required");
  else if (!isRecord(metadata)) refuse("metadata", `must be an object, got ${typeName(metadata)}`);
  else {
    const { name, generateName } = metadata;
    const given = name !== undefined && name !== null && name !== "";
    if (!given && !generateName) refuse("metadata.name", "is required");
    else if (given && typeof name !== "string") {
      refuse("metadata.name", `must be a string, got ${typeName(name)}`);
    }
  }
}

function unknownKind(kind: string): string {
  const names = kinds.map((known) => known.kind);
  const close = nearest(kind, names, 3).map(
    (name) => `${name} (${kindNamed(name)?.apiVersions[0]})`,
  );
  const wanted = close.length > 0 ? `such as ${close.join(", ")}` : `one of ${names.join(", ")}`;
  return `must be a kind that Heddle knows, ${wanted}, got "${kind}"`;
}

function issueAt(file: Source, place: Place, message: string): ManifestIssue {
  return { source: file.source, document: file.document, ...place, severity: "error", message };
}

function placeOf(lines: LineCounter, offset: number): Place {
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}

/** Follows the path through the document as far as it was written; a field's place is that of its key. */
function placeIn(file: Source, path: readonly Segment[]): Place {
  let node: unknown = file.yaml.contents;
  let offset = (node as Node | null)?.range?.[0] ?? 0;
  for (const segment of path) {
    if (isAlias(node)) node = node.resolve(file.yaml);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === segment);
      if (pair === undefined) break;
      offset = (isScalar(pair.key) ? pair.key.range?.[0] : undefined) ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof segment === "number") {
      const item = node.items[segment];
      if (item === undefined) break;
      offset = (item as Node).range?.[0] ?? offset;
      node = item;
    } else break;
  }
  return placeOf(file.lines, offset);
}

function uncapitalised(text: string): string {
  const line = text.split("\n", 1)[0] ?? "";
  return line.charAt(0).toLowerCase() + line.slice(1);
}
