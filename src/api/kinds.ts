/**
 * The kinds that Heddle stores: one row each, in the order in which `apply` sends them.
 *
 * `effect: "none"` marks kinds that published manifests carry and that Heddle keeps without acting on them (yet).
 */

export interface Kind {
  /** `v1`, `apps/v1` …; the first is what the server stores. */
  readonly apiVersions: readonly string[];
  readonly kind: string;
  /** Plural, lower case: the REST path segment. */
  readonly resource: string;
  /** What people type for it, as kubectl has it. */
  readonly shortName?: string;
  readonly namespaced: boolean;
  readonly effect: "acts" | "none";
}

const istioNetworking = [
  "networking.istio.io/v1",
  "networking.istio.io/v1beta1",
  "networking.istio.io/v1alpha3",
];
const istioTelemetry = ["telemetry.istio.io/v1", "telemetry.istio.io/v1alpha1"];
const istioSecurity = ["security.istio.io/v1", "security.istio.io/v1beta1"];

export const kinds: readonly Kind[] = [
  {
    apiVersions: ["v1"],
    kind: "Namespace",
    resource: "namespaces",
    shortName: "ns",
    namespaced: false,
    effect: "acts",
  },
  {
    apiVersions: ["heddle.dev/v1"],
    kind: "Network",
    resource: "networks",
    namespaced: false,
    effect: "acts",
  },
  {
    apiVersions: ["heddle.dev/v1"],
    kind: "AddressPool",
    resource: "addresspools",
    namespaced: false,
    effect: "acts",
  },
  {
    apiVersions: ["heddle.dev/v1"],
    kind: "AddressReservation",
    resource: "addressreservations",
    namespaced: false,
    effect: "acts",
  },
  {
    apiVersions: ["v1"],
    kind: "Node",
    resource: "nodes",
    shortName: "no",
    namespaced: false,
    effect: "acts",
  },
  {
    apiVersions: ["heddle.dev/v1"],
    kind: "AddressBlock",
    resource: "addressblocks",
    namespaced: false,
    effect: "acts",
  },
  {
    apiVersions: ["v1"],
    kind: "ServiceAccount",
    resource: "serviceaccounts",
    shortName: "sa",
    namespaced: true,
    effect: "acts",
  },
  {
    apiVersions: ["v1"],
    kind: "ConfigMap",
    resource: "configmaps",
    shortName: "cm",
    namespaced: true,
    effect: "none",
  },
  { apiVersions: ["v1"], kind: "Secret", resource: "secrets", namespaced: true, effect: "acts" },
  {
    apiVersions: ["networking.k8s.io/v1"],
    kind: "NetworkPolicy",
    resource: "networkpolicies",
    shortName: "netpol",
    namespaced: true,
    effect: "acts",
  },
  {
    apiVersions: istioSecurity,
    kind: "PeerAuthentication",
    resource: "peerauthentications",
    shortName: "pa",
    namespaced: true,
    effect: "acts",
  },
  {
    apiVersions: istioSecurity,
    kind: "AuthorizationPolicy",
    resource: "authorizationpolicies",
    shortName: "ap",
    namespaced: true,
    effect: "acts",
  },
  {
    apiVersions: istioNetworking,
    kind: "DestinationRule",
    resource: "destinationrules",
    shortName: "dr",
    namespaced: true,
    effect: "acts",
  },
  {
    apiVersions: istioNetworking,
    kind: "VirtualService",
    resource: "virtualservices",
    shortName: "vs",
    namespaced: true,
    effect: "acts",
  },
  {
    apiVersions: istioNetworking,
    kind: "Gateway",
    resource: "gateways",
    shortName: "gw",
    namespaced: true,
    effect: "acts",
  },
  {
    apiVersions: istioNetworking,
    kind: "Sidecar",
    resource: "sidecars",
    namespaced: true,
    effect: "acts",
  },
  {
    apiVersions: istioTelemetry,
    kind: "Telemetry",
    resource: "telemetries",
    namespaced: true,
    effect: "acts",
  },
  {
    apiVersions: istioNetworking,
    kind: "ServiceEntry",
    resource: "serviceentries",
    shortName: "se",
    namespaced: true,
    effect: "acts",
  },
  {
    apiVersions: istioNetworking,
    kind: "WorkloadEntry",
    resource: "workloadentries",
    shortName: "we",
    namespaced: true,
    effect: "acts",
  },
  {
    apiVersions: ["v1"],
    kind: "Service",
    resource: "services",
    shortName: "svc",
    namespaced: true,
    effect: "acts",
  },
  {
    apiVersions: ["discovery.k8s.io/v1"],
    kind: "EndpointSlice",
    resource: "endpointslices",
    namespaced: true,
    effect: "acts",
  },
  {
    apiVersions: ["apps/v1"],
    kind: "Deployment",
    resource: "deployments",
    shortName: "deploy",
    namespaced: true,
    effect: "acts",
  },
  {
    apiVersions: ["v1"],
    kind: "Pod",
    resource: "pods",
    shortName: "po",
    namespaced: true,
    effect: "acts",
  },
];

const byKind = new Map(kinds.map((kind) => [kind.kind, kind]));

export function kindNamed(kind: string): Kind | undefined {
  return byKind.get(kind);
}

/** `/api/v1/namespaces/shop/pods/web`; without a name the collection. Uses the kind's stored version. */
export function restPath(kind: Kind, namespace?: string, name?: string): string {
  const version = kind.apiVersions[0] ?? "v1";
  const root = version.includes("/") ? `/apis/${version}` : `/api/${version}`;
  const scope = kind.namespaced && namespace !== undefined ? `/namespaces/${namespace}` : "";
  return `${root}${scope}/${kind.resource}${name === undefined ? "" : `/${name}`}`;
}
