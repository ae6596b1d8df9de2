/** What the candidate's own sidecar says: whether it takes the connection as it comes, and whether it allows it. */

import type { Pod } from "../../api/k8s/core.ts";
import { spiffeId, trustDomain } from "../../model/names.ts";
import type { FilterChain } from "../../model/proxy-config.ts";
import { compileProxy } from "../mesh/compile-proxy.ts";
import { modeOfPort, modesOf, originOfMode } from "../mesh/peer-authentication.ts";
import { type InboundRequest, walkInbound } from "../mesh/walk.ts";
import { addressOf, namespaceOf, serviceAccountOf } from "../registry/workloads.ts";
import { objectKey, type World } from "../registry/world.ts";
import {
  type AuthorizationQuestion,
  deciderOf,
  escapes,
  nearestAllowing,
  policiesWith,
} from "./authorization-rules.ts";
import type { BranchVerdict, Candidate, Decider, HttpRequest, Step } from "./explanation.ts";
import { sidecarOf } from "./pods.ts";
import { inboundLimit } from "./rate-limit-step.ts";
import { seenClosed, seenConnectFailure, type Via } from "./seen.ts";
import { refusal } from "./verdict.ts";

export interface Arrival {
  readonly source: Pod;
  readonly destination: Pod;
  readonly candidate: Candidate;
  readonly via: Via;
  readonly request: HttpRequest | undefined;
}

export interface Reception {
  readonly steps: readonly Step[];
  /** Absent: taken and allowed. */
  readonly refusal?: BranchVerdict;
}

export function inboundSteps(world: World, arrival: Arrival): Reception {
  const { source, destination, candidate, request, via } = arrival;
  const namespace = namespaceOf(destination);
  const labels = destination.metadata.labels ?? {};
  const { value: config } = compileProxy(world, sidecarOf(destination));
  const sourceAddress = addressOf(source);
  const asked: InboundRequest = {
    port: candidate.port,
    ...(sourceAddress === undefined ? {} : { sourceAddress }),
    ...(candidate.mtls ? { tls: { kind: "mesh" as const, principal: principalOf(source) } } : {}),
    ...(request === undefined ? {} : { http: request }),
  };
  const walk = walkInbound(config, asked);
  const { port } = candidate;
  const mode = modeOfPort(modesOf(world, namespace, labels), port);
  const origin = originOfMode(world, namespace, labels, port);
  const by: readonly Decider[] =
    origin === undefined
      ? []
      : [{ kind: "PeerAuthentication", name: objectKey(origin.policy), path: origin.path }];
  const comes = candidate.mtls ? "mesh TLS" : "plain text";
  const isTaken = walk.verdict !== "close" && (!candidate.mtls || walk.isMutual);
  if (!isTaken) {
    const detail = `${mode} does not take ${comes}, which is how ${objectKey(source)} comes to ${objectKey(destination)}`;
    const seen = candidate.mtls ? seenConnectFailure(via) : seenClosed(via);
    const nearest = by[0] && {
      rule: by[0],
      differences: [{ path: by[0].path ?? "", have: mode, want: "PERMISSIVE" }],
    };
    return {
      steps: [{ step: "peer authentication", outcome: "refuse", by, detail }],
      refusal: refusal("peer authentication", seen, { by, detail, nearest }),
    };
  }
  const who = walk.isMutual ? `, from ${principalOf(source)}` : ", from nobody in particular";
  const chain = config.listeners
    .flatMap(({ filterChains }) => filterChains)
    .find(({ name }) => name === walk.chain);
  const web = chain === undefined ? "" : grpcWebInWords(chain);
  const taken: Step = {
    step: "peer authentication",
    outcome: "pass",
    by,
    detail: `${mode} takes ${comes}${who}${web}`,
  };
  const question: AuthorizationQuestion = {
    world,
    namespace,
    labels,
    config,
    request: asked,
    walk,
  };
  const authorized = authorization(question, arrival, chain?.filter.kind === "http");
  // Who is not authorized is not counted.
  const limits =
    authorized.refusal === undefined ? inboundLimit(world, config, walk.chain, port) : [];
  return { ...authorized, steps: [taken, ...authorized.steps, ...limits] };
}

function authorization(
  question: AuthorizationQuestion,
  { via }: Arrival,
  isHttp: boolean,
): Reception {
  const step = "authorization" as const;
  const { walk } = question;
  const decider = walk.by === undefined ? undefined : deciderOf(walk.by);
  const deciders = decider === undefined ? [] : [decider];
  if (walk.verdict === "allow") {
    const none = "no AuthorizationPolicy refuses it, and none must allow it";
    const detail = decider === undefined ? none : "allowed by a rule";
    return { steps: [{ step, outcome: "pass", by: deciders, detail }] };
  }
  const allowing = policiesWith(question, "ALLOW").map((policy) => ({
    kind: "AuthorizationPolicy",
    name: objectKey(policy),
    path: "spec.rules",
  }));
  const by = decider === undefined ? allowing : deciders;
  const names = by.map(({ name }) => name).join(", ");
  const detail = decider === undefined ? `no rule of ${names} allows it` : `denied by ${names}`;
  const nearest = decider === undefined ? nearestAllowing(question) : escapes(question, decider);
  const seen = isHttp ? ({ kind: "status", status: 403 } as const) : seenClosed(via);
  return {
    steps: [{ step, outcome: "refuse", by, detail }],
    refusal: refusal(step, seen, { by, detail, nearest }),
  };
}

/** Without the scheme, as AuthorizationPolicy writes it. */
function principalOf(pod: Pod): string {
  return spiffeId(trustDomain, namespaceOf(pod), serviceAccountOf(pod)).replace("spiffe://", "");
}

/** Policies and routes see the call that it becomes. */
export function grpcWebInWords({ filter }: FilterChain): string {
  const isTranslated = filter.kind === "http" && filter.translatesGrpcWeb === true;
  return isTranslated ? "; calls of gRPC-Web become calls of gRPC" : "";
}
