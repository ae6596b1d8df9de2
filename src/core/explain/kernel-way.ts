/** What the kernel of the source's node does with a connection that no sidecar takes. */

import type { Pod } from "../../api/k8s/core.ts";
import { isHeadless } from "../registry/services.ts";
import { viewFor } from "../registry/view.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { objectKey, type World } from "../registry/world.ts";
import type { Destination } from "./destination.ts";
import type { HttpRequest, Step } from "./explanation.ts";
import { endpointCount, whyNobody } from "./no-endpoints.ts";
import { candidateAt } from "./pods.ts";
import { seenNoEndpoint, type Via } from "./seen.ts";
import { refusal } from "./verdict.ts";
import type { Way } from "./way.ts";

export function kernelWay(
  world: World,
  source: Pod,
  destination: Destination,
  request: HttpRequest | undefined,
): Way {
  const { service, addresses, port } = destination;
  const via: Via = { kind: "kernel" };
  const http = request === undefined ? {} : { request };
  if (service === undefined || isHeadless(service.object)) {
    const what = service === undefined ? "no Service address" : "a headless Service's pod";
    const detail = `${addresses.join(", ")} is ${what}: nothing is translated`;
    const candidates = addresses.map((address) =>
      candidateAt(world, { address, port, tls: false }),
    );
    return {
      steps: [{ step: "service", outcome: "pass", by: [], detail }],
      parts: [{ share: 1, steps: [], end: { kind: "candidates", via, candidates, ...http } }],
    };
  }
  const { object } = service;
  const key = objectKey(object);
  // What the node's maps hold is made from this view.
  const endpoints = viewFor(world, source.spec.nodeName ?? "")
    .services.find(
      (one) => one.namespace === namespaceOf(object) && one.name === object.metadata.name,
    )
    ?.ports.find((one) => one.port === port && one.protocol === destination.transport)?.endpoints;
  if (endpoints === undefined || endpoints.length === 0) {
    const reason = whyNobody(world, object, service.port);
    const verdict = refusal("service", seenNoEndpoint(via), reason);
    const step: Step = { step: "service", outcome: "refuse", by: reason.by, detail: reason.detail };
    return { steps: [step], parts: [{ share: 1, steps: [], end: { kind: "verdict", verdict } }] };
  }
  const { ready, others } = endpointCount(world, object, service.port, {});
  const unready = others.length === 0 ? "" : `; not ready: ${others.join(", ")}`;
  const node = source.spec.nodeName ?? "the node";
  const detail = `the kernel of ${node} takes one of ${endpoints.length} endpoints at random, ${ready} of ${ready + others.length} are ready${unready}`;
  const by = [{ kind: "Service", name: key, path: "spec.selector" }];
  return {
    steps: [{ step: "service", outcome: "pass", by, detail }],
    parts: [
      {
        share: 1,
        steps: [],
        end: {
          kind: "candidates",
          via,
          candidates: endpoints.map((one) => candidateAt(world, { ...one, tls: false })),
          ...http,
        },
      },
    ],
  };
}
