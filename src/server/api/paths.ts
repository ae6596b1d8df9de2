/** From a REST path to what it names: `/apis/apps/v1/namespaces/shop/deployments/cart/status`. */

import { type Kind, kinds } from "../../api/kinds.ts";

export interface Target {
  readonly kind: Kind;
  /** The version in the path: answers carry it. */
  readonly apiVersion: string;
  /** Undefined: all namespaces, or a kind without. */
  readonly namespace?: string;
  /** Undefined: the collection. */
  readonly name?: string;
  readonly part: "object" | "status";
}

const byResource = new Map(
  kinds.flatMap((kind) =>
    kind.apiVersions.map((version) => [`${version} ${kind.resource}`, kind] as const),
  ),
);

/** Undefined where the path names nothing that the API has. */
export function parseTarget(pathname: string): Target | undefined {
  let segments: string[];
  try {
    segments = pathname.split("/").slice(1).map(decodeURIComponent);
  } catch {
    return undefined;
  }
  const [root, ...rest] = segments;
  const length = root === "api" ? 1 : root === "apis" ? 2 : 0;
  if (length === 0 || rest.length <= length) return undefined;
  const apiVersion = rest.slice(0, length).join("/");
  const path = rest.slice(length);

  const [first, namespace, resource] = path;
  if (first === "namespaces" && namespace && resource && resource !== "status") {
    const target = within(apiVersion, path.slice(2));
    return target?.kind.namespaced ? { ...target, namespace } : undefined;
  }
  const target = within(apiVersion, path);
  // A namespaced kind without a namespace can be listed, but has no names.
  return target?.kind.namespaced && target.name !== undefined ? undefined : target;
}

function within(apiVersion: string, path: readonly string[]): Target | undefined {
  const [resource = "", name, subresource, ...more] = path;
  const kind = byResource.get(`${apiVersion} ${resource}`);
  if (kind === undefined || name === "" || more.length > 0) return undefined;
  if (subresource !== undefined && subresource !== "status") return undefined;
  const part = subresource === "status" ? "status" : "object";
  return { kind, apiVersion, part, ...(name !== undefined && { name }) };
}
