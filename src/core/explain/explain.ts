/**
 * Why a connection comes through, or why not: the way of one question through a world, step by step.
 *
 * Decides nothing itself. DNS, the kernel's Services, the sidecars' configurations, NetworkPolicy and authorization are
 * asked of the same functions that configure them (or that tests hold those to); here they are asked in the order of
 * the way, and their answers are given the names of the objects that users wrote.
 */

import type { Pod, Service } from "../../api/k8s/core.ts";
import { familyOf, type IpFamily } from "../../base/ip.ts";
import { ports } from "../../model/names.ts";
import { isHttp, protocolOf } from "../mesh/protocol.ts";
import type { ConnectionEnd } from "../policy/evaluate.ts";
import { endpointsOf, servicePortsOf } from "../registry/services.ts";
import { addressOf, isMeshed, namespaceOf } from "../registry/workloads.ts";
import { objectKey, objectsOf, type World } from "../registry/world.ts";
import { type Destination, dnsServer, nameStep, resolveDestination } from "./destination.ts";
import type {
  Branch,
  BranchVerdict,
  Candidate,
  Explanation,
  HttpRequest,
  Question,
  Step,
} from "./explanation.ts";
import { inboundSteps } from "./inbound-steps.ts";
import { kernelWay } from "./kernel-way.ts";
import { policySteps } from "./network-policy.ts";
import { podAt } from "./pods.ts";
import { seenConnectFailure, seenDropped, type Via } from "./seen.ts";
import { sidecarWay } from "./sidecar-way.ts";
import { resolveSource } from "./source.ts";
import { refusal, verdictOf } from "./verdict.ts";
import type { Part } from "./way.ts";

/**
 * Throws MeshErrors that are the user's to mend, naming what there is: `explain.source`, `explain.destination`,
 * `explain.port`.
 */
export function explain(world: World, question: Question): Explanation {
  const source = resolveSource(world, question.source, question.namespace);
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
  const isCaptured = isMeshed(source) && destination.transport === "TCP";
  const uncarried = isCaptured ? meshRefusal(source, destination.addresses, destination.port) : [];
  const [past] = uncarried;
  if (past !== undefined) {
    return { steps: [...named.steps, past.step], branches: [branchOf(past.verdict)] };
  }
  const way = (isCaptured ? sidecarWay : kernelWay)(world, source, destination, request);
  return {
    steps: [...named.steps, captureStep(world, source, destination, isCaptured), ...way.steps],
    branches: way.parts.flatMap((part) => branchesOf(world, source, destination, part)),
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

/**
 * Sidecars speak IPv4: in a meshed pod the kernel refuses TCP over IPv6, which would go past its sidecar, but for the
 * ports at which the sidecar itself answers (dataplane/pod-capture.ts). Empty where it is carried.
 */
function meshRefusal(
  pod: Pod,
  addresses: readonly string[],
  port: number,
): readonly { readonly step: Step; readonly verdict: BranchVerdict }[] {
  if (addresses.length === 0 || addresses.some((address) => familyOf(address) === "IPv4"))
    return [];
  if (port === ports.metrics || port === ports.readiness) return [];
  const detail = `sidecars speak IPv4: in ${objectKey(pod)}, which has one, TCP over IPv6 is refused`;
  const step: Step = { step: "capture", outcome: "refuse", by: [], detail };
  const verdict = refusal("capture", { kind: "connection refused" }, { by: [], detail });
  return [{ step, verdict }];
}

function captureStep(
  world: World,
  source: Pod,
  { addresses, transport }: Destination,
  isCaptured: boolean,
): Step {
  const annotation = "sidecar.istio.io/inject";
  const out = isCaptured
    ? `the sidecar of ${objectKey(source)} takes the connection`
    : transport === "UDP"
      ? "sidecars leave UDP alone"
      : `${objectKey(source)} has no sidecar`;
  const to = addresses.length === 1 ? podAt(world, addresses[0] ?? "") : undefined;
  const into = to === undefined ? "" : `; ${objectKey(to)} has ${isMeshed(to) ? "one" : "none"}`;
  const by = isMeshed(source)
    ? []
    : [{ kind: "Pod", name: objectKey(source), path: `metadata.labels["${annotation}"]` }];
  return { step: "capture", outcome: "pass", by, detail: `${out}${into}` };
}

function branchesOf(
  world: World,
  source: Pod,
  { transport }: Destination,
  { share, steps, end }: Part,
): readonly Branch[] {
  if (end.kind === "verdict") return [{ share, candidates: [], steps, verdict: end.verdict }];
  const { candidates, via, request } = end;
  const faring = candidates.map((candidate) => ({
    candidate,
    ...arrive(world, { source, candidate, via, transport, request }),
  }));
  // Whoever is decided about by the same objects with the same outcome fares alike.
  const groups = Map.groupBy(faring, (one) =>
    JSON.stringify([
      one.steps.map(({ step, outcome, by }) => [step, outcome, by]),
      one.verdict.outcome,
    ]),
  );
  return [...groups.values()].map((group): Branch => {
    const [first] = group;
    return {
      share: (share * group.length) / candidates.length,
      candidates: group.map(({ candidate }) => candidate),
      steps: [...steps, ...(first?.steps ?? [])],
      verdict: first?.verdict ?? allowed,
    };
  });
}

const allowed: BranchVerdict = { outcome: "allowed", sentence: "allowed" };

interface Approach {
  readonly source: Pod;
  readonly candidate: Candidate;
  readonly via: Via;
  readonly transport: "TCP" | "UDP";
  readonly request: HttpRequest | undefined;
}

/** From the source to one endpoint: policy on both nodes, then the endpoint's sidecar. */
function arrive(
  world: World,
  { source, candidate, via, transport, request }: Approach,
): { readonly steps: readonly Step[]; readonly verdict: BranchVerdict } {
  const { address, port, mtls } = candidate;
  const destination = podAt(world, address);
  const policies = policySteps(world, {
    from: endOf(source, familyOf(address)),
    to:
      destination === undefined
        ? { kind: "address", address }
        : endOf(destination, familyOf(address)),
    protocol: transport,
    port,
    source: objectKey(source),
    ...(destination === undefined ? {} : { destination: objectKey(destination) }),
  });
  const steps = policies.map(({ step }) => step);
  const refused = policies.find((one) => one.refusal !== undefined);
  if (refused?.refusal !== undefined) {
    return { steps, verdict: refusal(refused.step.step, seenDropped(via), refused.refusal) };
  }
  const isReceived = destination !== undefined && isMeshed(destination) && transport === "TCP";
  if (!isReceived) {
    if (!mtls) return { steps, verdict: allowed };
    const detail = `${destination === undefined ? address : objectKey(destination)} has no sidecar to speak mesh TLS with`;
    const step: Step = { step: "peer authentication", outcome: "refuse", by: [], detail };
    const verdict = refusal(step.step, seenConnectFailure(via), { by: [], detail });
    return { steps: [...steps, step], verdict };
  }
  const [past] = meshRefusal(destination, [address], port);
  if (past !== undefined) return { steps: [...steps, past.step], verdict: past.verdict };
  const reception = inboundSteps(world, { source, destination, candidate, via, request });
  return {
    steps: [...steps, ...reception.steps],
    verdict: reception.refusal ?? allowed,
  };
}

function branchOf(verdict: BranchVerdict): Branch {
  return { share: 1, candidates: [], steps: [], verdict };
}

/** Pods on the host's network are their node to policy. Without a family: by the pod's primary address. */
function endOf(pod: Pod, family?: IpFamily): ConnectionEnd {
  return pod.spec.hostNetwork === true
    ? { kind: "address", address: addressOf(pod) ?? "" }
    : {
        kind: "pod",
        namespace: namespaceOf(pod),
        name: pod.metadata.name,
        ...(family === undefined ? {} : { family }),
      };
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
  const { host, port } = destination;
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
function speaksHttp(world: World, { service, addresses, port }: Destination): boolean {
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
