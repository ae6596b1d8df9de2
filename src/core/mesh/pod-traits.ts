/** What the mesh knows of an endpoint that is a pod: its labels, its workload, and whether it takes mesh TLS. */

import type { Pod } from "../../api/k8s/core.ts";
import { takesInbound } from "../registry/capture.ts";
import { isGateway, namespaceOf, workloadLabelsOf } from "../registry/workloads.ts";
import { objectKey, type World } from "../registry/world.ts";
import type { MeshEndpoint } from "./mesh-service.ts";
import { modeOfPort, modesOf, type WorkloadModes } from "./peer-authentication.ts";

/** What pods take on their ports, for as long as one picture of all services is made. */
export type KnownModes = Map<string, WorkloadModes>;

export function podTraits(
  world: World,
  pod: Pod,
  port: number,
  modes: KnownModes,
): Pick<MeshEndpoint, "labels" | "takesMeshTls" | "workload"> {
  const key = objectKey(pod);
  const labels = pod.metadata.labels ?? {};
  const known = modes.get(key) ?? modesOf(world, namespaceOf(pod), labels);
  modes.set(key, known);
  return {
    labels,
    takesMeshTls:
      takesInbound(pod, port) && !isGateway(pod) && modeOfPort(known, port) !== "DISABLE",
    workload: workloadLabelsOf(pod),
  };
}
