/**
 * Whether a workload's port takes mesh TLS, plain connections, or both.
 *
 * As Istio: a policy with a selector that fits the workload, else one for the namespace, else one for the mesh (in the
 * root namespace); among equals the oldest. UNSET and absent inherit, the default is PERMISSIVE. A port's own mode
 * comes only from a policy with a selector.
 */

import type { MtlsMode, PeerAuthentication } from "../../api/istio/security.ts";
import { type Labels, matchesLabels } from "../registry/selector.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { objectsOf, type World } from "../registry/world.ts";
import { memoized } from "./memo.ts";
import { byAge, rootNamespace } from "./visibility.ts";

export type EffectiveMode = Exclude<MtlsMode, "UNSET">;

export interface WorkloadModes {
  readonly mode: EffectiveMode;
  /** Ports of the workload (not of its Services) with a mode of their own. */
  readonly ports: ReadonlyMap<number, EffectiveMode>;
}

export function modesOf(world: World, namespace: string, labels: Labels): WorkloadModes {
  const { meshWide, namespaceWide, workload } = policiesFor(world, namespace, labels);
  let mode: EffectiveMode = "PERMISSIVE";
  for (const policy of [meshWide, namespaceWide, workload])
    mode = inherit(policy?.spec?.mtls, mode);
  const ports = Object.entries(workload?.spec?.portLevelMtls ?? {}).map(
    ([port, own]): [number, EffectiveMode] => [Number(port), inherit(own, mode)],
  );
  return { mode, ports: new Map(ports) };
}

/** The policy that sets the mode of a workload's port, and where in it; undefined where the default holds. */
export function originOfMode(
  world: World,
  namespace: string,
  labels: Labels,
  port: number,
): { readonly policy: PeerAuthentication; readonly path: string } | undefined {
  const { meshWide, namespaceWide, workload } = policiesFor(world, namespace, labels);
  const isSet = (mtls: { readonly mode?: MtlsMode } | undefined): boolean =>
    mtls?.mode !== undefined && mtls.mode !== "UNSET";
  if (workload !== undefined && isSet(workload.spec?.portLevelMtls?.[port])) {
    return { policy: workload, path: `spec.portLevelMtls.${port}.mode` };
  }
  const policy = [workload, namespaceWide, meshWide].find((one) => isSet(one?.spec?.mtls));
  return policy === undefined ? undefined : { policy, path: "spec.mtls.mode" };
}

/** The three that may have a say, from the widest to the narrowest. */
function policiesFor(world: World, namespace: string, labels: Labels) {
  const policies = sorted(objectsOf<PeerAuthentication>(world, "PeerAuthentication"));
  const own = policies.filter((policy) => namespaceOf(policy) === namespace);
  const meshWide = policies.find(
    (policy) => namespaceOf(policy) === rootNamespace && !hasSelector(policy),
  );
  const namespaceWide =
    namespace === rootNamespace ? undefined : own.find((policy) => !hasSelector(policy));
  const workload = own.find(
    (policy) =>
      hasSelector(policy) && matchesLabels(labels, policy.spec?.selector?.matchLabels ?? {}),
  );
  return { meshWide, namespaceWide, workload };
}

export function modeOfPort(modes: WorkloadModes, port: number): EffectiveMode {
  return modes.ports.get(port) ?? modes.mode;
}

const sorted = memoized((policies: readonly PeerAuthentication[]) => [...policies].sort(byAge));

function hasSelector(policy: PeerAuthentication): boolean {
  return Object.keys(policy.spec?.selector?.matchLabels ?? {}).length > 0;
}

function inherit(
  own: { readonly mode?: MtlsMode } | undefined,
  inherited: EffectiveMode,
): EffectiveMode {
  return own?.mode === undefined || own.mode === "UNSET" ? inherited : own.mode;
}
