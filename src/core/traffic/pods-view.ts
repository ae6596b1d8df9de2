/** Every pod that has not ended, with what it served, as its own sidecar saw it. */

import type { Pod } from "../../api/k8s/core.ts";
import type { PodSignals, PodsView } from "../../model/observation.ts";
import { hasEnded, isMeshed, isReady } from "../registry/workloads.ts";
import { compareText, objectKey, objectsOf, type World } from "../registry/world.ts";
import type { TrafficWindow } from "./history.ts";
import { noSignals, servingSignals } from "./signals.ts";

export function podsView(world: World, { at, seconds, serving }: TrafficWindow): PodsView {
  const byPod = Map.groupBy(serving, ({ counts }) => counts.pod);
  const pods = objectsOf<Pod>(world, "Pod").filter((pod) => !hasEnded(pod));
  return {
    at,
    seconds,
    pods: pods.map((pod): PodSignals => {
      const name = objectKey(pod);
      const served = byPod.get(name) ?? [];
      const share = (ms: number): number => ms / Math.max(1, ...served.map(({ spanMs }) => spanMs));
      const busyMs = served.reduce((total, { counts }) => total + counts.busyMs, 0);
      const inFlightMs = served.reduce((total, { counts }) => total + counts.inFlightMs, 0);
      return {
        pod: name,
        node: pod.spec.nodeName ?? "",
        services: served.map(({ counts }) => counts.service).sort(compareText),
        isReady: isReady(pod),
        hasSidecar: isMeshed(pod),
        signals: served.length === 0 ? noSignals : servingSignals(served),
        ...(served.length === 0
          ? {}
          : { busyShare: Math.min(1, share(busyMs)), inFlight: share(inFlightMs) }),
      };
    }),
  };
}
