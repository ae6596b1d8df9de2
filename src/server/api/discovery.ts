/** The API's table of contents, from which clients such as kubectl learn kinds and paths. */

import { kinds } from "../../api/kinds.ts";

const verbs = ["create", "delete", "get", "list", "patch", "update", "watch"];

/** The document at a discovery path; undefined elsewhere. */
export function discoveryAt(pathname: string): unknown {
  switch (pathname.replace(/\/$/, "")) {
    case "/api":
      return { kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [] };
    case "/apis":
      return { kind: "APIGroupList", apiVersion: "v1", groups: groupNames().map(group) };
    case "/version":
      return {
        major: "1",
        minor: "33",
        gitVersion: "v1.33.0+heddle",
        platform: "linux/amd64",
      };
    default:
      return resources(pathname) ?? oneGroup(pathname);
  }
}

function groupVersions(): readonly string[] {
  return [...new Set(kinds.flatMap((kind) => kind.apiVersions))];
}

function groupNames(): readonly string[] {
  const versions = groupVersions().filter((version) => version.includes("/"));
  return [...new Set(versions.map((version) => version.split("/")[0] ?? ""))];
}

function group(name: string) {
  const versions = groupVersions()
    .filter((version) => version.startsWith(`${name}/`))
    .map((groupVersion) => ({ groupVersion, version: groupVersion.slice(name.length + 1) }));
  return { name, versions, preferredVersion: versions[0] };
}

function oneGroup(pathname: string): unknown {
  const name = /^\/apis\/([^/]+)\/?$/.exec(pathname)?.[1];
  if (name === undefined || !groupNames().includes(name)) return undefined;
  return { kind: "APIGroup", apiVersion: "v1", ...group(name) };
}

function resources(pathname: string): unknown {
  const groupVersion = /^\/(?:api\/(v1)|apis\/([^/]+\/[^/]+))\/?$/.exec(pathname);
  const wanted = groupVersion?.[1] ?? groupVersion?.[2];
  const served = kinds.filter((kind) => wanted && kind.apiVersions.includes(wanted));
  if (served.length === 0) return undefined;
  return {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion: wanted,
    resources: served.flatMap(({ kind, resource, shortName, namespaced }) => {
      const common = { singularName: kind.toLowerCase(), namespaced, kind };
      return [
        { name: resource, ...common, verbs, ...(shortName && { shortNames: [shortName] }) },
        { name: `${resource}/status`, ...common, verbs: ["get", "patch", "update"] },
      ];
    }),
  };
}
