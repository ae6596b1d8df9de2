/**
 * From the source to the endpoints of one part of the way: policy on both nodes, then the endpoints' sidecars; and
 * which endpoints fare alike.
 */

import type { Pod } from "../../api/k8s/core.ts";
import { familyOf, type IpFamily, isIp } from "../../base/ip.ts";
import { ports } from "../../model/names.ts";
import type { ConnectionEnd } from "../policy/evaluate.ts";
import { takesInbound } from "../registry/capture.ts";
import { addressOf, namespaceOf } from "../registry/workloads.ts";
import { objectKey, type World } from "../registry/world.ts";
import type { Destination } from "./destination.ts";
import type { Branch, BranchVerdict, Candidate, HttpRequest, Step } from "./explanation.ts";
import { inboundSteps } from "./inbound-steps.ts";
import { leaveByName } from "./leave-by-name.ts";
import { policySteps } from "./network-policy.ts";
import { podAt } from "./pods.ts";
import { seenConnectFailure, seenDropped, type Via } from "./seen.ts";
import { refusal } from "./verdict.ts";
import type { Part } from "./way.ts";

export function branchesOf(
  world: World,
  source: Pod,
  transport: Destination["transport"],
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
  if (!isIp(address)) return leaveByName(world, source, endOf(source), candidate, via);
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
  const isReceived =
    destination !== undefined && transport === "TCP" && takesInbound(destination, port);
  if (!isReceived) {
    if (!mtls) return { steps, verdict: allowed };
    const detail = `${destination === undefined ? address : objectKey(destination)} has no sidecar there to speak mesh TLS with`;
    const step: Step = { step: "peer authentication", outcome: "refuse", by: [], detail };
    const verdict = refusal(step.step, seenConnectFailure(via), { by: [], detail });
    return { steps: [...steps, step], verdict };
  }
  const [past] = meshRefusal(destination, [address], port);
  if (past !== undefined) return { steps: [...steps, past.step], verdict: past.verdict };
  if (via.kind === "passed-tls") {
    const detail = `${objectKey(destination)} judges the client's certificate, which is not seen here, and asks its policies about it`;
    const step: Step = { step: "peer authentication", outcome: "pass", by: [], detail };
    return { steps: [...steps, step], verdict: allowed };
  }
  const reception = inboundSteps(world, { source, destination, candidate, via, request });
  return {
    steps: [...steps, ...reception.steps],
    verdict: reception.refusal ?? allowed,
  };
}

/**
 * Sidecars speak IPv4: in a meshed pod the kernel refuses TCP over IPv6, which would go past its sidecar, but for the
 * ports at which the sidecar itself answers (dataplane/pod-capture.ts). Empty where it is carried.
 */
export function meshRefusal(
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

/** Pods on the host's network are their node to policy. Without a family: by the pod's primary address. */
export function endOf(pod: Pod, family?: IpFamily): ConnectionEnd {
  return pod.spec.hostNetwork === true
    ? { kind: "address", address: addressOf(pod) ?? "" }
    : {
        kind: "pod",
        namespace: namespaceOf(pod),
        name: pod.metadata.name,
        ...(family === undefined ? {} : { family }),
      };
}
