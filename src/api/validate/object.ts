/**
 * Validates one object of any kind: everything that is wrong with it, at once.
 *
 * One table says for each kind how its name must be and what it has beside metadata. `status` is never looked at: it
 * is written by parts of Heddle through a path of its own.
 */

import { isRecord } from "../../base/json.ts";
import { kindNamed } from "../kinds.ts";
import type { Resource } from "../resource.ts";
import {
  addressBlockName,
  addressBlockSpec,
  addressPoolName,
  addressPoolSpec,
  addressReservationSpec,
} from "./address-plan.ts";
import { networkSpec } from "./heddle.ts";
import type { Issue } from "./issue.ts";
import { destinationRuleSpec } from "./istio/destination-rule.ts";
import { gatewaySpec } from "./istio/gateway.ts";
import { authorizationPolicySpec, peerAuthenticationSpec } from "./istio/security.ts";
import { serviceEntrySpec } from "./istio/service-entry.ts";
import { sidecarSpec } from "./istio/sidecar.ts";
import { telemetrySpec } from "./istio/telemetry.ts";
import { virtualServiceSpec } from "./istio/virtual-service.ts";
import { workloadEntrySpec } from "./istio/workload-entry.ts";
import { deploymentSpec } from "./k8s/deployment.ts";
import { networkPolicySpec } from "./k8s/network-policy.ts";
import { captureRules, podSpec, sidecarMode } from "./k8s/pod.ts";
import { endpointSliceFields, podWeight, serviceAnnotations, serviceSpec } from "./k8s/service.ts";
import { metadata } from "./metadata.ts";
import { dnsLabel, dnsSubdomain } from "./names.ts";
import { type Check, issuesOf, type Place, refine } from "./schema/check.ts";
import { type Fields, mapOf, record } from "./schema/record.ts";
import { anything, boolean, oneOf, text } from "./schema/scalar.ts";
import {
  destinationRuleAnnotations,
  serviceRateLimits,
  virtualServiceAnnotations,
} from "./traffic-annotations.ts";

interface KindSchema {
  readonly name: Check;
  /** Beside apiVersion, kind, metadata and status. */
  readonly fields: Fields;
  /** What involves metadata and spec together. */
  readonly whole?: Check;
}

const schemas: Readonly<Record<string, KindSchema>> = {
  Namespace: { name: dnsLabel, fields: { spec: anything } },
  Network: { name: dnsSubdomain, fields: { "spec!": networkSpec } },
  Node: {
    name: dnsSubdomain,
    fields: {
      spec: record({
        unschedulable: boolean,
        podCIDR: text(),
        podCIDRs: anything,
        providerID: text(),
        taints: anything,
        configSource: anything,
        externalID: text(),
      }),
    },
  },
  AddressBlock: {
    name: dnsSubdomain,
    fields: { "spec!": addressBlockSpec },
    whole: addressBlockName,
  },
  AddressPool: {
    name: dnsSubdomain,
    fields: { "spec!": addressPoolSpec },
    whole: addressPoolName,
  },
  AddressReservation: { name: dnsSubdomain, fields: { "spec!": addressReservationSpec } },
  ServiceAccount: {
    name: dnsSubdomain,
    fields: {
      secrets: anything,
      imagePullSecrets: anything,
      automountServiceAccountToken: boolean,
    },
  },
  ConfigMap: {
    name: dnsSubdomain,
    fields: { data: mapOf(text()), binaryData: mapOf(text()), immutable: boolean },
  },
  Secret: {
    name: dnsSubdomain,
    fields: { type: text(), data: mapOf(text()), stringData: mapOf(text()), immutable: boolean },
  },
  NetworkPolicy: { name: dnsSubdomain, fields: { "spec!": networkPolicySpec } },
  PeerAuthentication: { name: dnsSubdomain, fields: { spec: peerAuthenticationSpec } },
  AuthorizationPolicy: { name: dnsSubdomain, fields: { spec: authorizationPolicySpec } },
  DestinationRule: {
    name: dnsSubdomain,
    fields: { "spec!": destinationRuleSpec },
    whole: destinationRuleAnnotations,
  },
  VirtualService: {
    name: dnsSubdomain,
    fields: { "spec!": virtualServiceSpec },
    whole: virtualServiceAnnotations,
  },
  Gateway: { name: dnsSubdomain, fields: { "spec!": gatewaySpec } },
  Sidecar: { name: dnsSubdomain, fields: { "spec!": sidecarSpec } },
  Telemetry: { name: dnsSubdomain, fields: { spec: telemetrySpec } },
  ServiceEntry: { name: dnsSubdomain, fields: { "spec!": serviceEntrySpec } },
  WorkloadEntry: { name: dnsSubdomain, fields: { "spec!": workloadEntrySpec } },
  Service: { name: dnsLabel, fields: { "spec!": serviceSpec }, whole: serviceRules },
  EndpointSlice: { name: dnsSubdomain, fields: endpointSliceFields },
  Deployment: { name: dnsSubdomain, fields: { "spec!": deploymentSpec } },
  Pod: { name: dnsSubdomain, fields: { "spec!": podSpec }, whole: podRules },
};

function podRules(pod: unknown, at: Place): void {
  podWeight(pod, at);
  sidecarMode((pod as Resource).metadata, at.field("metadata"));
  captureRules((pod as Resource).metadata, at.field("metadata"));
}

function serviceRules(service: unknown, at: Place): void {
  serviceAnnotations(service, at);
  serviceRateLimits(service, at);
}

const checks: ReadonlyMap<string, Check> = new Map(
  Object.entries(schemas).map(([name, schema]) => [name, checkFor(name, schema)]),
);

/**
 * Every issue of the object at once; none where it is fine. Its kind must be known and its apiVersion be the kind's.
 */
export function validateObject(object: unknown): readonly Issue[] {
  const kind = isRecord(object) ? String(object["kind"]) : "";
  const check = checks.get(kind);
  if (check === undefined) {
    return [{ path: "kind", message: `must be a known kind, got "${kind}"`, severity: "error" }];
  }
  return issuesOf(check, object);
}

function checkFor(name: string, schema: KindSchema): Check {
  const kind = kindNamed(name);
  const shape = record({
    "apiVersion!": oneOf(...(kind?.apiVersions ?? [])),
    "kind!": oneOf(name),
    "metadata!": metadata(schema.name, kind?.namespaced ? dnsLabel : undefined),
    ...schema.fields,
    status: anything,
  });
  const { whole } = schema;
  if (whole === undefined) return shape;
  return refine<unknown>(shape, whole);
}
