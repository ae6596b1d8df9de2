/**
 * What becomes of destinations that nobody declared: `outboundTrafficPolicy` of the mesh, or of a Sidecar.
 *
 * With `ALLOW_ANY` (the default) they are gone to as they are (`PassthroughCluster`). With `REGISTRY_ONLY` connections
 * are closed (`BlackHoleCluster`) and HTTP is answered with 502, as Istio does.
 */

import { networkOf } from "../registry/settings.ts";
import type { World } from "../registry/world.ts";
import { type SidecarScope, scopeKinds } from "./sidecar-scope.ts";

/** Kinds that it depends on. */
export const outboundPolicyKinds: readonly string[] = ["Network", ...scopeKinds];

/** A Sidecar's word comes before the mesh's. */
export function refusesUnknown(world: World, scope: SidecarScope | undefined): boolean {
  const mode = scope?.outboundMode ?? networkOf(world).spec.outboundTrafficPolicy?.mode;
  return mode === "REGISTRY_ONLY";
}
