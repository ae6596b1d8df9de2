/**
 * Manifests from files: all are read and checked before any is used, so that bad input disturbs nothing.
 *
 * A folder stands for the `.yaml`, `.yml` and `.json` files in it, in the order of their names; `-` is standard input.
 */

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { kindNamed, kinds } from "../api/kinds.ts";
import type { Resource } from "../api/resource.ts";
import {
  type ManifestIssue,
  manifestIssues,
  parseManifests,
  renderManifestIssue,
} from "../api/validate/manifest.ts";
import { MeshError } from "../base/error.ts";

const isManifest = (name: string): boolean => /\.(ya?ml|json)$/.test(name);

/**
 * The objects of all files, in the order in which they can be created. Objects of namespaced kinds have a namespace:
 * their own, or `namespace`. Throws one error that names everything that is wrong, warnings included: what is probably
 * a slip is better told before it is in force than after.
 */
export function loadManifests(paths: readonly string[], namespace = "default"): Resource[] {
  const issues: ManifestIssue[] = [];
  const objects: Resource[] = [];
  for (const file of paths.flatMap(filesOf)) {
    const read = parseManifests(readText(file), file === "-" ? "standard input" : file);
    const found = [...read.issues, ...read.objects.flatMap(manifestIssues)];
    issues.push(...found.sort((a, b) => a.line - b.line));
    objects.push(...read.objects.map(({ object }) => withNamespace(object, namespace)));
  }
  if (issues.length === 0) return inOrder(objects);
  throw new MeshError("cli.manifest.invalid", issues.map(renderManifestIssue).join("\n"), {
    fault: "user",
  });
}

/** Kinds that others refer to come first; within a kind the files' own order holds. */
export function inOrder(objects: readonly Resource[]): Resource[] {
  const rank = new Map(kinds.map(({ kind }, i) => [kind, i]));
  return objects.toSorted((a, b) => (rank.get(a.kind) ?? 0) - (rank.get(b.kind) ?? 0));
}

function withNamespace(object: Resource, namespace: string): Resource {
  if (kindNamed(object.kind)?.namespaced !== true) return object;
  return { ...object, metadata: { namespace, ...object.metadata } };
}

function filesOf(path: string): string[] {
  if (path === "-") return [path];
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) {
    throw new MeshError("cli.manifest.absent", `${path}: there is no such file or folder`, {
      fault: "user",
    });
  }
  if (!stat.isDirectory()) return [path];
  const files = readdirSync(path).filter(isManifest).sort();
  if (files.length === 0) {
    throw new MeshError(
      "cli.manifest.absent",
      `${path}: there is no .yaml, .yml or .json file in this folder`,
      { fault: "user" },
    );
  }
  return files.map((name) => join(path, name));
}

function readText(file: string): string {
  return readFileSync(file === "-" ? 0 : file, "utf8");
}
