/**
 * Which destinations a sidecar gets: Istio's kind Sidecar.
 *
 * One Sidecar holds for a pod: the oldest of its namespace whose selector means it, else the namespace's own without a
 * selector, else the root namespace's without one. Hosts of its egress entries admit Services, ServiceEntries and
 * VirtualServices, each by the namespace of the object and the host; destinations that admitted VirtualServices lead to
 * are reached, too. What is not admitted is unknown to the sidecar, and fares as unknown destinations do.
 *
 * It saves memory and work and guards against mistakes; it is no policy: what is unknown may well be let through.
 *
 * Not here: what of the kind is not done, which is noted as HEDDLE0114 (sidecar-notes.ts).
 */

import type { Sidecar, SidecarEgress } from "../../api/istio/sidecar.ts";
import { type Labels, matchesLabels } from "../registry/selector.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { objectKey, objectsOf, type World } from "../registry/world.ts";
import { hostMatches } from "./host.ts";
import { memoized } from "./memo.ts";
import { byAge, rootNamespace } from "./visibility.ts";

/** Kinds that it depends on. */
export const scopeKinds: readonly string[] = ["Sidecar"];

export interface SidecarScope {
  /** `namespace/name` of the Sidecar. */
  readonly key: string;
  readonly from: Sidecar;
  /** In the place of the mesh's; undefined: the mesh's holds. */
  readonly outboundMode: "REGISTRY_ONLY" | "ALLOW_ANY" | undefined;
  /** Whether the host of an object of the namespace is admitted; without a port: at any. */
  admits(namespace: string, host: string, port?: number): boolean;
}

/** Undefined: no Sidecar means the pod, which gets everything that is visible. */
export function scopeOf(world: World, namespace: string, labels: Labels): SidecarScope | undefined {
  const all = oldestFirst(objectsOf<Sidecar>(world, "Sidecar"));
  const own = all.filter((one) => namespaceOf(one) === namespace);
  const from =
    own.find((one) => selects(one) && matchesLabels(labels, labelsOf(one))) ??
    own.find((one) => !selects(one)) ??
    all.find((one) => namespaceOf(one) === rootNamespace && !selects(one));
  if (from === undefined) return undefined;
  const { egress = [], outboundTrafficPolicy } = from.spec;
  return {
    key: objectKey(from),
    from,
    outboundMode: outboundTrafficPolicy && (outboundTrafficPolicy.mode ?? "REGISTRY_ONLY"),
    // Whose pods they are, also where the root namespace's Sidecar holds: `.` is the pod's own namespace.
    admits: egress.length === 0 ? () => true : admissionOf(egress, namespace),
  };
}

const oldestFirst = memoized((all: readonly Sidecar[]) => [...all].sort(byAge));

function labelsOf({ spec }: Sidecar): Labels {
  return spec.workloadSelector?.labels ?? {};
}

function selects(sidecar: Sidecar): boolean {
  return Object.keys(labelsOf(sidecar)).length > 0;
}

function admissionOf(egress: readonly SidecarEgress[], owner: string): SidecarScope["admits"] {
  const entries = egress.map(({ port, hosts }) => {
    const patterns = hosts.map((host) => patternOf(host, owner));
    const taken = patterns.filter(({ excludes }) => excludes);
    const given = patterns.filter(({ excludes }) => !excludes);
    return {
      port: port?.number,
      admits: (namespace: string, host: string): boolean =>
        given.some((pattern) => fits(pattern, namespace, host)) &&
        !taken.some((pattern) => fits(pattern, namespace, host)),
    };
  });
  const rest = entries.find(({ port }) => port === undefined);
  return (namespace, host, port) => {
    if (port === undefined) return entries.some((entry) => entry.admits(namespace, host));
    const entry = entries.find((one) => one.port === port) ?? rest;
    return entry?.admits(namespace, host) ?? false;
  };
}

interface Pattern {
  readonly namespace: string;
  readonly host: string;
  readonly excludes: boolean;
}

/** `~namespace/host` takes out what others admit; `~/host` does of every namespace, so that `~/*` is nothing. */
function patternOf(written: string, owner: string): Pattern {
  const slash = written.indexOf("/");
  const [before, host] = [written.slice(0, slash), written.slice(slash + 1)];
  const excludes = before.startsWith("~");
  const namespace = excludes ? before.slice(1) || "*" : before;
  return { namespace: namespace === "." ? owner : namespace, host, excludes };
}

function fits(pattern: Pattern, namespace: string, host: string): boolean {
  const isOfNamespace = pattern.namespace === "*" || pattern.namespace === namespace;
  return isOfNamespace && hostMatches(pattern.host, host);
}
