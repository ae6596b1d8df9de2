/**
 * Why a connection comes through, or why not: the way of one question through a world, step by step.
 *
 * Decides nothing itself. DNS, the kernel's Services, the sidecars' configurations, NetworkPolicy and authorization are
 * asked of the same functions that configure them (or that tests hold those to); here they are asked in the order of
 * the way, and their answers are given the names of the objects that users wrote.
 */

import type { Pod, Service } from "../../api/k8s/core.ts";
import { isHttp, protocolOf } from "../mesh/protocol.ts";
import { takesOutbound } from "../registry/capture.ts";
import { endpointsOf, servicePortsOf } from "../registry/services.ts";
import { isGateway, isMeshed } from "../registry/workloads.ts";
import { objectKey, objectsOf, type World } from "../registry/world.ts";
import { branchesOf, endOf, meshRefusal } from "./arrival.ts";
import { type Destination, dnsServer, nameStep, resolveDestination } from "./destination.ts";
import type {
  Branch,
  BranchVerdict,
  Explanation,
  HttpRequest,
  Question,
  Step,
} from "./explanation.ts";
import {
  type Entrance,
  entranceFor,
  gatewayToService,
  gatewayWay,
  readsHttp,
} from "./gateway-way.ts";
import { kernelWay } from "./kernel-way.ts";
import { policySteps } from "./network-policy.ts";
import { podAt } from "./pods.ts";
import { sidecarWay } from "./sidecar-way.ts";
import { resolveSource } from "./source.ts";
import { refusal, verdictOf } from "./verdict.ts";

/**
 * Throws MeshErrors that are the user's to mend, naming what there is: `explain.source`, `explain.destination`,
 * `explain.port`.
 */
export function explain(world: World, question: Question): Explanation {
  const source = resolveSource(world, question.source, question.namespace);
  if (isGateway(source)) {
    const { destination: host, port } = question;
    const entrance = entranceFor(world, source, host.toLowerCase(), port);
    if (entrance !== undefined) return explainEntrance(world, source, entrance, question);
  }
  const destination = resolveDestination(world, source, question.destination, question.port);
  const request = requestOf(world, question, destination);
  const { steps, branches } = walk(world, source, destination, request);
  return {
    source: objectKey(source),
    destination: question.destination,
    port: destination.port,
    protocol: destination.transport === "UDP" ? "udp" : request === undefined ? "tcp" : "http",
    ...(request === undefined ? {} : { request }),
    steps,
    branches,
    verdict: verdictOf(branches),
  };
}

/** A request of a client outside, as the gateway takes it. */
function explainEntrance(
  world: World,
  source: Pod,
  entrance: Entrance,
  question: Question,
): Explanation {
  const { port, host } = entrance;
  const isHttp =
    question.protocol === undefined ? readsHttp(entrance) : question.protocol === "http";
  const request = isHttp ? httpRequest(question, host, port) : undefined;
  const way = gatewayWay(world, source, entrance, request);
  const branches = way.parts.flatMap((part) => branchesOf(world, source, "TCP", part));
  return {
    source: objectKey(source),
    destination: question.destination,
    port,
    protocol: request === undefined ? "tcp" : "http",
    ...(request === undefined ? {} : { request }),
    steps: way.steps,
    branches,
    verdict: verdictOf(branches),
  };
}

interface Walked {
  readonly steps: readonly Step[];
  readonly branches: readonly Branch[];
}

function walk(
  world: World,
  source: Pod,
  destination: Destination,
  request: HttpRequest | undefined,
): Walked {
  const named = nameSteps(world, source, destination);
  if (named.verdict !== undefined)
    return { steps: named.steps, branches: [branchOf(named.verdict)] };
  if (isGateway(source) && destination.transport === "TCP") {
    const way = gatewayToService(world, source, destination, request);
    const branches = way.parts.flatMap((part) => branchesOf(world, source, "TCP", part));
    return { steps: [...named.steps, ...way.steps], branches };
  }
  const isCaptured =
    destination.transport === "TCP" &&
    takesOutbound(source, destination.addresses[0], destination.port);
  const uncarried = isCaptured ? meshRefusal(source, destination.addresses, destination.port) : [];
  const [past] = uncarried;
  if (past !== undefined) {
    return { steps: [...named.steps, past.step], branches: [branchOf(past.verdict)] };
  }
  const way = (isCaptured ? sidecarWay : kernelWay)(world, source, destination, request);
  return {
    steps: [...named.steps, captureStep(world, source, destination, isCaptured), ...way.steps],
    branches: way.parts.flatMap((part) => branchesOf(world, source, destination.transport, part)),
  };
}

interface Named {
  readonly steps: readonly Step[];
  readonly verdict?: BranchVerdict;
}

/** A name must be asked for, which policy may forbid, and must have an answer. */
function nameSteps(world: World, source: Pod, destination: Destination): Named {
  const step = nameStep(destination);
  const seen = { kind: "no such name" } as const;
  if (destination.isName) {
    const asking = { from: endOf(source), to: dnsServer, protocol: "UDP" as const, port: 53 };
    const [egress] = policySteps(world, { ...asking, source: objectKey(source) });
    if (egress?.refusal !== undefined) {
      const detail = `the name cannot be asked for: ${egress.refusal.detail}`;
      const steps: Step[] = [{ ...egress.step, detail }];
      return { steps, verdict: refusal("egress policy", seen, { ...egress.refusal, detail }) };
    }
  }
  if (step.outcome === "pass") return { steps: [step] };
  return { steps: [step], verdict: refusal("name", seen, step) };
}

function captureStep(
  world: World,
  source: Pod,
  { addresses, transport }: Destination,
  isCaptured: boolean,
): Step {
  const annotation = "sidecar.istio.io/inject";
  const isLeft = isMeshed(source) && !isCaptured && transport !== "UDP";
  const out = isCaptured
    ? `the sidecar of ${objectKey(source)} takes the connection`
    : transport === "UDP"
      ? "sidecars leave UDP alone"
      : isLeft
        ? `annotations of ${objectKey(source)} have its sidecar leave the connection alone`
        : `${objectKey(source)} has no sidecar`;
  const to = addresses.length === 1 ? podAt(world, addresses[0] ?? "") : undefined;
  const into = to === undefined ? "" : `; ${objectKey(to)} has ${isMeshed(to) ? "one" : "none"}`;
  const pod = { kind: "Pod", name: objectKey(source) };
  const by = isLeft
    ? [{ ...pod, path: "metadata.annotations" }]
    : isMeshed(source)
      ? []
      : [{ ...pod, path: `metadata.labels["${annotation}"]` }];
  return { step: "capture", outcome: "pass", by, detail: `${out}${into}` };
}

function branchOf(verdict: BranchVerdict): Branch {
  return { share: 1, candidates: [], steps: [], verdict };
}

/** Undefined where the application does not speak HTTP. */
function requestOf(
  world: World,
  question: Question,
  destination: Destination,
): HttpRequest | undefined {
  const { method, path, headers, protocol } = question;
  const isAsked = method !== undefined || path !== undefined || headers !== undefined;
  const isHttp =
    protocol === undefined ? isAsked || speaksHttp(world, destination) : protocol === "http";
  if (!isHttp || destination.transport === "UDP") return undefined;
  return httpRequest(question, destination.host, destination.port);
}

function httpRequest({ method, path, headers }: Question, host: string, port: number): HttpRequest {
  const lower = Object.fromEntries(
    Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );
  return {
    // As clients write it: the port only where it is not HTTP's own.
    host: lower["host"] ?? (port === 80 ? host : `${host}:${port}`),
    method: method ?? "GET",
    path: path ?? "/",
    headers: lower,
  };
}

/** What the destination's port is declared to be; for a pod, what a Service says of the port. */
function speaksHttp(world: World, { service, entry, addresses, port }: Destination): boolean {
  if (entry !== undefined) return isHttp(entry.port.protocol);
  if (service !== undefined) return protocolOf(service.port) !== "tcp";
  return objectsOf<Service>(world, "Service").some((one) =>
    servicePortsOf(one).some(
      (servicePort) =>
        isHttp(protocolOf(servicePort)) &&
        endpointsOf(world, one, servicePort).some(
          (endpoint) => endpoint.port === port && addresses.includes(endpoint.address),
        ),
    ),
  );
}
