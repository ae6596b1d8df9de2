/** Why nobody is behind a Service or a subset of it, and who nearly is. */

import type { Pod, Service } from "../../api/k8s/core.ts";
import { serviceHost } from "../../model/names.ts";
import { type Client, ruleFor } from "../mesh/destination-rules.ts";
import { serviceOfHost } from "../mesh/services.ts";
import { matchesLabels } from "../registry/selector.ts";
import { endpointsOf, type ResolvedServicePort } from "../registry/services.ts";
import { hasEnded, isReady, namespaceOf } from "../registry/workloads.ts";
import { objectKey, objectNamed, objectsOf, type World } from "../registry/world.ts";
import type { Decider, Difference, NearMiss } from "./explanation.ts";

export interface Reason {
  readonly by: readonly Decider[];
  readonly detail: string;
  readonly nearest?: NearMiss;
}

/** `ready` and not, for the step that lists endpoints. */
export function endpointCount(
  world: World,
  service: Service,
  port: ResolvedServicePort,
  labels: Readonly<Record<string, string>>,
): { readonly ready: number; readonly others: readonly string[] } {
  const all = endpointsOf(world, service, port).filter(({ pod }) =>
    matchesLabels(labelsOfPod(world, pod), labels),
  );
  const others = all.filter(({ ready }) => !ready);
  return {
    ready: all.length - others.length,
    others: others.map(({ pod, address, port }) => pod ?? `${address}:${port}`),
  };
}

export function whyNobody(world: World, service: Service, port: ResolvedServicePort): Reason {
  const key = objectKey(service);
  const { selector } = service.spec;
  const waiting = endpointsOf(world, service, port).filter(({ ready }) => !ready);
  if (waiting.length > 0) {
    const names = waiting.map(({ pod, address }) => pod ?? address);
    const pods = waiting.flatMap(({ pod }) => (pod === undefined ? [] : [pod]));
    return {
      by: [
        { kind: "Service", name: key },
        ...pods.map((name) => ({ kind: "Pod", name, path: "status.conditions" })),
      ],
      detail: `none of the endpoints of Service ${key} is ready: ${names.join(", ")}`,
    };
  }
  if (selector === undefined || Object.keys(selector).length === 0) {
    return {
      by: [{ kind: "Service", name: key, path: "spec.selector" }],
      detail: `Service ${key} has no selector, and no EndpointSlice names an endpoint for it`,
    };
  }
  const rule = { kind: "Service", name: key, path: "spec.selector" };
  const pods = livingPods(world, namespaceOf(service));
  const matching = pods.filter((pod) => matchesLabels(pod.metadata.labels ?? {}, selector));
  if (matching.length > 0) {
    const names = matching.map(objectKey).join(", ");
    const why = matching.some(isReady)
      ? `has a port ${port.targetPort}`
      : "has an address and is ready";
    return { by: [rule], detail: `of the pods that Service ${key} selects none ${why}: ${names}` };
  }
  const miss = nearestPod(pods, selector, "spec.selector");
  return {
    by: [rule],
    detail: `no pod has the labels that Service ${key} selects: ${rendered(selector)}`,
    ...(miss === undefined ? {} : { nearest: { rule, differences: miss } }),
  };
}

/** A subset without members, of a Service that has some. `place` is where the subset is named. */
export function whyNobodyInSubset(
  world: World,
  client: Client,
  service: Service,
  subset: string,
  place: Decider | undefined,
): Reason {
  const host = serviceHost(namespaceOf(service), service.metadata.name);
  const known = serviceOfHost(world, host, client.namespace);
  const rules = known === undefined ? undefined : ruleFor(world, client, known);
  const found = subsetPlace(rules?.from ?? [], subset);
  if (found === undefined) {
    const names = rules?.subsets.map(({ name }) => name) ?? [];
    const want = names.length === 0 ? "a DestinationRule that has it" : names.join(" or ");
    const detail = `no DestinationRule for ${host} has a subset ${subset}`;
    if (place === undefined) return { by: [], detail };
    const differences = [{ path: `${place.path}.subset`, have: subset, want }];
    return { by: [place], detail, nearest: { rule: place, differences } };
  }
  const { decider, labels } = found;
  const pods = livingPods(world, namespaceOf(service)).filter((pod) =>
    matchesLabels(pod.metadata.labels ?? {}, service.spec.selector ?? {}),
  );
  const differences = nearestPod(pods, labels, `${decider.path}.labels`);
  return {
    by: [decider],
    detail: `no ready endpoint of Service ${objectKey(service)} has the labels of subset ${subset}: ${rendered(labels)}`,
    ...(differences === undefined ? {} : { nearest: { rule: decider, differences } }),
  };
}

/** Which DestinationRule defines a subset, and where in it. */
export function subsetPlace(
  rules: readonly {
    readonly metadata: { readonly name: string; readonly namespace?: string };
    readonly spec: {
      readonly subsets?: readonly {
        readonly name: string;
        readonly labels?: Readonly<Record<string, string>>;
      }[];
    };
  }[],
  subset: string,
): { readonly decider: Decider; readonly labels: Readonly<Record<string, string>> } | undefined {
  for (const rule of rules) {
    const index = (rule.spec.subsets ?? []).findIndex(({ name }) => name === subset);
    if (index < 0) continue;
    return {
      decider: {
        kind: "DestinationRule",
        name: `${namespaceOf(rule)}/${rule.metadata.name}`,
        path: `spec.subsets[${index}]`,
      },
      labels: rule.spec.subsets?.[index]?.labels ?? {},
    };
  }
  return undefined;
}

function livingPods(world: World, namespace: string): readonly Pod[] {
  return objectsOf<Pod>(world, "Pod").filter(
    (pod) => namespaceOf(pod) === namespace && !hasEnded(pod),
  );
}

/** What the pod with the fewest wrong labels would have to change; undefined where no pod shares a single key. */
function nearestPod(
  pods: readonly Pod[],
  wanted: Readonly<Record<string, string>>,
  path: string,
): readonly Difference[] | undefined {
  const misses = pods
    .filter(({ metadata }) => Object.keys(wanted).some((key) => key in (metadata.labels ?? {})))
    .map((pod) => labelDifferences(pod, wanted, path));
  return misses
    .filter((differences) => differences.length > 0)
    .toSorted((a, b) => a.length - b.length)[0];
}

function labelDifferences(
  pod: Pod,
  wanted: Readonly<Record<string, string>>,
  path: string,
): readonly Difference[] {
  const labels = pod.metadata.labels ?? {};
  return Object.entries(wanted)
    .filter(([key, value]) => labels[key] !== value)
    .map(([key, value]) => ({
      path: `${path}.${key}`,
      have: `${key in labels ? `${key}=${labels[key]}` : `no ${key}`} (pod ${objectKey(pod)})`,
      want: `${key}=${value}`,
    }));
}

function labelsOfPod(world: World, key: string | undefined): Readonly<Record<string, string>> {
  const [namespace = "", name = ""] = (key ?? "").split("/");
  return objectNamed<Pod>(world, "Pod", namespace, name)?.metadata.labels ?? {};
}

function rendered(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(", ");
}
