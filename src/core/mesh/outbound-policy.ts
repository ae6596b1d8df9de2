/**
 * What becomes of destinations that nobody declared: `outboundTrafficPolicy` of the mesh.
 *
 * With `ALLOW_ANY` (the default) they are gone to as they are (`PassthroughCluster`). With `REGISTRY_ONLY` connections are
 * closed (`BlackHoleCluster`) and HTTP is answered with 502, as Istio does.
 */

import { networkOf } from "../registry/settings.ts";
import type { World } from "../registry/world.ts";

/** Kinds that it depends on. */
export const outboundPolicyKinds: readonly string[] = ["Network"];

export function refusesUnknown(world: World): boolean {
  return networkOf(world).spec.outboundTrafficPolicy?.mode === "REGISTRY_ONLY";
}
