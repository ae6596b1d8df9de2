/**
 * Lets the health checks of other sidecars past AuthorizationPolicies, and nothing else: of a workload's ports what a
 * DestinationRule of its Service's own namespace, or of the root namespace, asks to be checked there.
 *
 * A check is told by a field that sidecars alone can send each other (model/names.ts), and send only where such a rule
 * is the one they check by; by method and exact path. It must come in mesh TLS, from whomever. Written as authorization
 * rules: DENY rules leave such requests alone, and where ALLOW rules hold one more of them takes those.
 *
 * Not here: TCP, where a check is over before policies are asked. Why so: docs/adr/0013.
 */

import { healthCheckOf, type ServiceProbe } from "../../api/heddle/traffic-annotations.ts";
import type { DestinationRule } from "../../api/istio/networking.ts";
import type { Service } from "../../api/k8s/core.ts";
import { healthCheckField, serviceHost } from "../../model/names.ts";
import type { HeaderMatch, Permission, Rbac } from "../../model/proxy-config.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { objectsOf, type World } from "../registry/world.ts";
import { hostMatches, resolveHost } from "./host.ts";
import { rootNamespace } from "./visibility.ts";

/** The rules with an exception for each check of these ports. */
export function admittingChecks(
  world: World,
  served: readonly { readonly service: Service; readonly number: number }[],
  rules: readonly Rbac[],
): readonly Rbac[] {
  if (rules.length === 0) return rules;
  const checks = served.flatMap(({ service, number }) => {
    const namespace = namespaceOf(service);
    const host = serviceHost(namespace, service.metadata.name);
    return probesOf(world, namespace, host).flatMap((probe) => checkOf(probe, number) ?? []);
  });
  const [first] = checks;
  if (first === undefined) return rules;
  const check: Permission = checks.length === 1 ? first : { kind: "or", of: checks };
  return rules.map(({ action, policies }) => ({
    action,
    policies:
      action === "allow"
        ? [...policies, { name: "health-checks", permissions: [check], principals: [anySidecar] }]
        : policies.map((policy) => ({
            ...policy,
            permissions: policy.permissions.map((one) => except(one, check)),
          })),
  }));
}

const anySidecar = { kind: "authenticated", match: { kind: "present" } } as const;

/** Those that the Service's own namespace consents to; others' rules are no reason to let anybody in. */
function probesOf(world: World, namespace: string, host: string): readonly ServiceProbe[] {
  return objectsOf<DestinationRule>(world, "DestinationRule")
    .filter((rule) => mayAdmit(rule, namespace))
    .filter((rule) => hostMatches(resolveHost(rule.spec.host, namespaceOf(rule)), host))
    .flatMap((rule) => healthCheckOf(rule) ?? []);
}

/** Whether a rule may say that checks of a Service pass the policies there: whoever writes it has a say in both. */
export function mayAdmit(rule: DestinationRule, namespace: string): boolean {
  return [namespace, rootNamespace].includes(namespaceOf(rule));
}

function checkOf({ httpGet, grpc }: ServiceProbe, port: number): Permission | undefined {
  const asked =
    httpGet !== undefined
      ? { method: "GET", path: (httpGet.path ?? "/").replace(/\?.*$/, "") }
      : grpc !== undefined
        ? { method: "POST", path: "/grpc.health.v1.Health/Check" }
        : undefined;
  if (asked === undefined) return undefined;
  return {
    kind: "and",
    of: [
      { kind: "destination-port", port },
      header(healthCheckField, { kind: "present" }),
      header(":method", { kind: "exact", value: asked.method }),
      { kind: "path", match: { kind: "exact", value: asked.path } },
    ],
  };
}

function header(name: string, match: HeaderMatch["match"]): Permission {
  return { kind: "header", header: { name, match, invert: false } };
}

function except(permission: Permission, check: Permission): Permission {
  const not: Permission = { kind: "not", of: check };
  return permission.kind === "any" ? not : { kind: "and", of: [permission, not] };
}
