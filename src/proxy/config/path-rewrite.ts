/**
 * What becomes of a request's path on its way: the matched part replaced, or every match of an expression.
 *
 * Rewrites see the normalised path without the query, and leave a path: what would not begin with `/` is given one.
 */

import type { RouteAction, RouteMatch } from "../../model/proxy-config.ts";
import { compileRegex } from "./matchers.ts";

export type PathRewrite = (path: string) => string;

type Rewrites = Pick<Extract<RouteAction, { kind: "forward" }>, "prefixRewrite" | "regexRewrite">;

/** Undefined where the path stays. */
export function compileRewrite(
  { path: match }: Pick<RouteMatch, "path">,
  { prefixRewrite, regexRewrite }: Rewrites,
): PathRewrite | undefined {
  if (regexRewrite !== undefined) {
    const expression = compileRegex(regexRewrite.pattern, "anywhere");
    const pieces = regexRewrite.substitution.split(/(\\\d|\\\\)/);
    return (path) =>
      ensureRooted(path.replace(expression, (...found) => pieces.map(fill(found)).join("")));
  }
  if (prefixRewrite === undefined) return undefined;
  switch (match.kind) {
    case "prefix":
      return (path) => ensureRooted(`${prefixRewrite}${path.slice(match.value.length)}`);
    case "exact":
      return () => prefixRewrite;
    case "regex": {
      const expression = compileRegex(match.value);
      return (path) => ensureRooted(path.replace(expression, () => prefixRewrite));
    }
  }
}

/** A piece of a substitution: `\1` is a group, which may be absent, `\\` a backslash, anything else itself. */
function fill(found: readonly unknown[]): (piece: string) => string {
  return (piece) => {
    if (piece === "\\\\") return "\\";
    const group = /^\\(\d)$/.exec(piece)?.[1];
    if (group === undefined) return piece;
    const value = found[Number(group)];
    return typeof value === "string" ? value : "";
  };
}

function ensureRooted(path: string): string {
  return path.startsWith("/") ? path : `/${path}`;
}
