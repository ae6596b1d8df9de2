/**
 * Which command stands for a container image: published manifests name images, the lab runs processes of this machine.
 *
 * The first rule whose pattern matches decides. Rules of the user's own file come before the built-in ones. An image
 * that nobody knows is not guessed at: its pod waits, and says which image it was and what to do.
 */

import { join } from "node:path";
import { parse } from "yaml";
import type { Container } from "../../api/k8s/core.ts";
import { MeshError } from "../../base/error.ts";

export interface ImageRule {
  /** Matches the image's name with or without registry and tag: `*` stands for anything, the rest is literal. */
  readonly match: string;
  /** Stands for the image's entry point; `{1}`, `{2}` … are what the stars matched. */
  readonly command: readonly string[];
  /** Stands for the image's default arguments: used when the container gives neither command nor args. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /**
   * What a container's own `command` means: `run` it on this machine (images that are a shell and tools), or
   * `replaced`: it names a program of the image that the rule's command stands for.
   */
  readonly ownCommand: "run" | "replaced";
}

export interface ImageCommand {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Istio's `auto`: whatever the mesh's own proxy is. */
const heddle = [process.execPath, join(import.meta.dirname, "..", "..", "main.ts")];
const standIns = join(import.meta.dirname, "..", "images");

function standIn(match: string, file: string, ...args: string[]): ImageRule {
  return {
    match,
    command: [process.execPath, join(standIns, file), ...args],
    ownCommand: "replaced",
  };
}

function tools(match: string): ImageRule {
  return { match, command: [], args: ["sleep", "infinity"], ownCommand: "run" };
}

/** What the lab knows by itself: Heddle's own stand-ins and Istio's samples. */
export const builtInImages: readonly ImageRule[] = [
  standIn("heddle.dev/echo-service:*", "echo-service.ts"),
  standIn("heddle.dev/tiny-database:*", "tiny-database.ts"),
  standIn("heddle.dev/visitor:*", "visitor.ts"),
  standIn("heddle.dev/queueing-service:*", "queueing-service.ts"),
  standIn("*examples-bookinfo-*-v*:*", "bookinfo.ts", "{2}", "v{3}"),
  standIn("*examples-helloworld-v*:*", "helloworld.ts", "v{2}"),
  standIn("*tcp-echo-server:*", "tcp-echo.ts"),
  standIn("*httpbin:*", "httpbin.ts"),
  standIn("*testing/app:*", "istio-app.ts"),
  { match: "auto:*", command: [...heddle, "proxy", "--gateway"], ownCommand: "replaced" },
  tools("*curlimages/curl:*"),
  ...["busybox", "alpine", "debian", "ubuntu"].map((name) => tools(`*${name}:*`)),
];

/** What runs for a container, or a sentence that says why nothing can. */
export function commandOf(
  container: Container,
  rules: readonly ImageRule[],
): ImageCommand | { readonly problem: string } {
  const image = container.image.includes(":", container.image.lastIndexOf("/"))
    ? container.image
    : `${container.image}:latest`;
  for (const rule of rules) {
    const stars = matchImage(rule.match, image);
    if (stars === undefined) continue;
    const command = rule.command.map((part) =>
      part.replace(/\{(\d+)\}/g, (_, n: string) => stars[Number(n) - 1] ?? ""),
    );
    const own = container.command ?? [];
    const argv =
      own.length > 0 && rule.ownCommand === "run"
        ? [...own, ...(container.args ?? [])]
        : [...command, ...(container.args ?? (own.length > 0 ? [] : (rule.args ?? [])))];
    if (argv.length > 0) return { argv, env: rule.env ?? {} };
  }
  return {
    problem: `no command stands for image ${container.image} of container ${container.name}: give one with heddle lab up --images FILE`,
  };
}

/** What each star matched, or undefined. */
function matchImage(pattern: string, image: string): string[] | undefined {
  const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const regex = new RegExp(`^${pattern.split("*").map(literal).join("(.*?)")}$`);
  return regex.exec(image)?.slice(1);
}

/**
 * Reads a user's image map:
 *
 *     images:
 *       - match: "registry.example/shop/*"
 *         command: [node, /srv/shop.js]
 *         env: { PORT: "8080" }
 *
 * Throws `lab.images.invalid` with the path of what is wrong.
 */
export function parseImageMap(text: string, source: string): ImageRule[] {
  const fail = (path: string, want: string): never => {
    throw new MeshError("lab.images.invalid", `${source}: ${path}: ${want}`, { fault: "user" });
  };
  let document: unknown;
  try {
    document = parse(text);
  } catch (cause) {
    throw new MeshError("lab.images.invalid", source, { cause, fault: "user" });
  }
  const images = record(document)?.["images"];
  if (!Array.isArray(images)) return fail("images", "want a list");
  return images.map((entry: unknown, i): ImageRule => {
    const fields = record(entry) ?? fail(`images[${i}]`, "want a mapping");
    const { match, command, env } = fields;
    if (typeof match !== "string" || match === "") {
      return fail(`images[${i}].match`, `want a pattern, got ${JSON.stringify(match)}`);
    }
    if (!isStrings(command) || command.length === 0) {
      return fail(`images[${i}].command`, `want a list of strings, got ${JSON.stringify(command)}`);
    }
    const variables = env === undefined ? {} : record(env);
    if (variables === undefined || !isStrings(Object.values(variables))) {
      return fail(`images[${i}].env`, "want a mapping of strings");
    }
    return {
      match: match.includes(":") || match.endsWith("*") ? match : `${match}:*`,
      command,
      env: Object.fromEntries(Object.entries(variables).map(([k, v]) => [k, String(v)])),
      ownCommand: "replaced",
    };
  });
}

function record(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : undefined;
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
