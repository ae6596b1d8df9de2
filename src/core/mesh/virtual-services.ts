/**
 * Which VirtualServices apply to the sidecars of a namespace, and to which hosts.
 *
 * Those that are bound to the mesh (`gateways` absent or naming `mesh`), exported to the namespace and admitted by its
 * Sidecar, oldest first. A host has one VirtualService: the one that names it most specifically, of several the oldest.
 */

import type { VirtualService } from "../../api/istio/networking.ts";
import type { Sidecar } from "../../api/istio/sidecar.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { objectsOf } from "../registry/world.ts";
import type { ProxyContext } from "./context.ts";
import { mostSpecific, resolveHost } from "./host.ts";
import { memoized } from "./memo.ts";
import type { SidecarScope } from "./sidecar-scope.ts";
import { byAge, isVisible } from "./visibility.ts";

/** One host of a VirtualService, as a full name. */
export interface HostRules {
  readonly host: string;
  readonly rules: VirtualService;
}

/** Every host that some VirtualService has routes for, each once, in order of age. */
export function hostRules({ world, namespace, scope }: ProxyContext): readonly HostRules[] {
  const all = objectsOf<VirtualService>(world, "VirtualService");
  if (scope !== undefined) return admittedRules(all, namespace, scope);
  const known = byNamespace(all);
  const made = known.get(namespace) ?? select(all, namespace, undefined);
  known.set(namespace, made);
  return made;
}

export function rulesFor(all: readonly HostRules[], host: string): VirtualService | undefined {
  return mostSpecific(all, (entry) => entry.host, host)?.rules;
}

const byNamespace = memoized(
  (_: readonly VirtualService[]) => new Map<string, readonly HostRules[]>(),
);

/** Remembered for a Sidecar's life, and for as long as the VirtualServices are the same. */
function admittedRules(
  all: readonly VirtualService[],
  namespace: string,
  scope: SidecarScope,
): readonly HostRules[] {
  const known = bySidecar(scope.from);
  const before = known.get(namespace);
  if (before?.of === all) return before.rules;
  const rules = select(all, namespace, scope);
  known.set(namespace, { of: all, rules });
  return rules;
}

const bySidecar = memoized(
  (_: Sidecar) =>
    new Map<
      string,
      { readonly of: readonly VirtualService[]; readonly rules: readonly HostRules[] }
    >(),
);

function select(
  all: readonly VirtualService[],
  clientNamespace: string,
  scope: SidecarScope | undefined,
): readonly HostRules[] {
  const hosts = new Map<string, VirtualService>();
  for (const rules of [...all].sort(byAge)) {
    const owner = namespaceOf(rules);
    if (!isForMesh(rules.spec.gateways)) continue;
    if (!isVisible(rules.spec.exportTo, owner, clientNamespace)) continue;
    for (const written of rules.spec.hosts ?? []) {
      const host = resolveHost(written, owner);
      if (scope?.admits(owner, host) === false) continue;
      if (!hosts.has(host)) hosts.set(host, rules);
    }
  }
  return [...hosts].map(([host, rules]) => ({ host, rules }));
}

/** Whether some route depends on the labels of whoever calls. */
export const asksForCallers: (all: readonly VirtualService[]) => boolean = memoized((all) =>
  all.some(({ spec }) =>
    [...(spec.http ?? []), ...(spec.tcp ?? []), ...(spec.tls ?? [])].some((rule) =>
      (rule.match ?? []).some((match) => match?.sourceLabels !== undefined),
    ),
  ),
);

/** Also of a single match: absent means the VirtualService's own gateways, which are the mesh by now. */
export function isForMesh(gateways: readonly string[] | undefined): boolean {
  return gateways === undefined || gateways.length === 0 || gateways.includes("mesh");
}
