/** What the kernel of the source's node does with a connection that no sidecar takes. */

import type { Pod } from "../../api/k8s/core.ts";
import { isHeadless } from "../registry/services.ts";
import { viewFor } from "../registry/view.ts";
import { addressOf, namespaceOf } from "../registry/workloads.ts";
import type { World } from "../registry/world.ts";
import type { Destination } from "./destination.ts";
import type { HttpRequest, Seen } from "./explanation.ts";
import { endpointCount, whyNobody } from "./no-endpoints.ts";
import { candidateAt } from "./pods.ts";
import { seenDropped, seenNoEndpoint, type Via } from "./seen.ts";
import { type ServiceChoice, serviceChoice } from "./service-choice.ts";
import { type RefusalReason, refusal } from "./verdict.ts";
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
  // What the node's maps hold is made from this view.
  const view = viewFor(world, source.spec.nodeName ?? "");
  const known = view.services.find(
    (one) => one.namespace === namespaceOf(object) && one.name === object.metadata.name,
  );
  const served = known?.ports.find(
    (one) => one.port === service.port.port && one.protocol === destination.transport,
  );
  const [address = ""] = addresses;
  const choice: ServiceChoice =
    known === undefined || served === undefined
      ? { kind: "nobody" }
      : serviceChoice(view, known, served, address, addressOf(source) ?? "");
  if (choice.kind === "nobody") {
    return refused(seenNoEndpoint(via), whyNobody(world, object, service.port));
  }
  if (choice.kind === "dropped") return refused(seenDropped(via), choice);
  const { endpoints, how, by } = choice;
  const { ready, others } = endpointCount(world, object, service.port, {});
  const unready = others.length === 0 ? "" : `; not ready: ${others.join(", ")}`;
  const node = source.spec.nodeName ?? "the node";
  const detail = `the kernel of ${node} takes ${how}, ${ready} of ${ready + others.length} are ready${unready}`;
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

function refused(seen: Seen, reason: RefusalReason): Way {
  const { by, detail } = reason;
  const verdict = refusal("service", seen, reason);
  return {
    steps: [{ step: "service", outcome: "refuse", by, detail }],
    parts: [{ share: 1, steps: [], end: { kind: "verdict", verdict } }],
  };
}
