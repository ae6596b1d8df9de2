/**
 * What the source's sidecar does with a connection: listener, route, clusters, endpoints. The configuration that the
 * sidecar has is made and walked; this module says which objects it came from.
 */

import type { Pod } from "../../api/k8s/core.ts";
import { isIp } from "../../base/ip.ts";
import { compileProxy } from "../mesh/compile-proxy.ts";
import {
  type OutboundWalk,
  type Destination as WalkedDestination,
  walkOutbound,
} from "../mesh/walk.ts";
import { objectKey, type World } from "../registry/world.ts";
import { clusterPart } from "./cluster-part.ts";
import type { Destination } from "./destination.ts";
import { entryDecider } from "./entry.ts";
import type { Decider, HttpRequest, Step } from "./explanation.ts";
import { withFault } from "./fault-parts.ts";
import { grpcWebInWords } from "./inbound-steps.ts";
import { candidateAt, sidecarOf } from "./pods.ts";
import { notAdmitting, type RouteOutcome, routeStep } from "./route-step.ts";
import type { Part, SidecarQuestion, Way } from "./way.ts";

export function sidecarWay(
  world: World,
  source: Pod,
  destination: Destination,
  request: HttpRequest | undefined,
): Way {
  const { value: config, diagnostics: notes } = compileProxy(world, sidecarOf(source));
  const asked: SidecarQuestion = { world, source, destination, request, config, notes };
  // Of a headless Service a client takes any pod; where the Host header decides, all ways are one.
  const walks = destination.addresses.map((address) => ({
    address,
    walk: walkOutbound(config, {
      address,
      port: destination.port,
      ...(request && { http: request }),
      ...(destination.entry?.port.isTls === true && !isIp(destination.host)
        ? { serverName: destination.host }
        : {}),
    }),
  }));
  const [first] = walks;
  if (first === undefined) return { steps: [], parts: [] };
  const distinct = [
    ...Map.groupBy(walks, ({ walk }) => JSON.stringify(walk.destinations)).values(),
  ];
  const route = routeStep(asked, first.walk);
  const steps = [listenerStep(asked, first.walk), ...route.steps];
  if (route.verdict !== undefined) {
    const end = { kind: "verdict" as const, verdict: route.verdict };
    const parts = withFault(first.walk.route, route.fault, [{ share: 1, steps: [], end }]);
    return { steps, parts };
  }
  const parts = distinct.flatMap((group) => {
    const share = group.length / walks.length;
    return group
      .slice(0, 1)
      .flatMap(({ walk }) => walk.destinations.map((to) => partOf(asked, walk, to, group, route)))
      .map((part) => ({ ...part, share: part.share * share }));
  });
  return { steps, parts: withFault(first.walk.route, route.fault, parts) };
}

function partOf(
  asked: SidecarQuestion,
  walk: OutboundWalk,
  to: WalkedDestination,
  group: readonly { readonly address: string }[],
  { via, by: routedBy }: RouteOutcome,
): Part {
  const cluster = asked.config.clusters.find(({ name }) => name === to.cluster);
  if (cluster?.discovery.kind !== "original-destination")
    return clusterPart(asked, walk, to, via, routedBy);
  const { port } = asked.destination;
  const candidates = group.map(({ address }) =>
    candidateAt(asked.world, { address, port, tls: false }),
  );
  const { service } = cluster;
  const decider = service && entryDecider(asked.world, service, service.port, "spec.resolution");
  const why =
    decider === undefined
      ? "in the clear: nobody says that it is a Service"
      : "as its ServiceEntry has no other resolution";
  const detail = `${to.cluster}: goes where the application sent it, ${why}`;
  const by = decider === undefined ? [] : [decider];
  return {
    share: to.share,
    steps: [{ step: "cluster", outcome: "pass", by, detail }],
    end: {
      kind: "candidates",
      via,
      candidates,
      ...(asked.request === undefined ? {} : { request: asked.request }),
    },
  };
}

function listenerStep(asked: SidecarQuestion, walk: OutboundWalk): Step {
  const { world, destination, config } = asked;
  const step = "listener" as const;
  const { service, port } = destination;
  const listener = config.listeners.find(({ name }) => name === walk.listener);
  const chain = [...(listener?.filterChains ?? []), listener?.defaultFilterChain].find(
    (one) => one?.name === walk.chain,
  );
  const reads = chain?.filter.kind === "http" ? "reads HTTP" : "carries bytes";
  const web = chain === undefined ? "" : grpcWebInWords(chain);
  const detail = `the sidecar's listener ${walk.listener} ${reads}${web}`;
  const sidecar = notAdmitting(asked);
  if (sidecar !== undefined) {
    const why = `Sidecar ${sidecar.name} does not admit ${destination.host}, so that it is not known`;
    return { step, outcome: "pass", by: [sidecar], detail: `${detail}: ${why}` };
  }
  const { entry } = destination;
  if (entry !== undefined) {
    const decider = entryDecider(world, entry.service, entry.port.port);
    const by = decider === undefined ? [] : [decider];
    return { step, outcome: "pass", by, detail: `${detail}: its port ${entry.port.name} says so` };
  }
  if (service === undefined) {
    const why = walk.listener === "virtualOutbound" ? `, no Service has port ${port} there` : "";
    return { step, outcome: "pass", by: [], detail: `${detail}${why}` };
  }
  const { object, port: servicePort } = service;
  const index = (object.spec.ports ?? []).findIndex((one) => one.port === servicePort.port);
  const place = `spec.ports[${index}]`;
  const { appProtocol, name } = servicePort;
  const [path, why] =
    appProtocol !== undefined
      ? [`${place}.appProtocol`, `its appProtocol is ${appProtocol}`]
      : name !== ""
        ? [`${place}.name`, `the port's name is ${name}`]
        : [place, "the port has no name, so the first bytes tell"];
  const by: readonly Decider[] = [{ kind: "Service", name: objectKey(object), path }];
  return { step, outcome: "pass", by, detail: `${detail}: ${why}` };
}
