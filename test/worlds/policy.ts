/**
 * Worlds for tests of policy: a short notation for written ones, and an arbitrary that draws random ones.
 *
 * Random worlds are small and their labels few, so that selectors hit and miss about equally often.
 */

import fc from "fast-check";
import { parse } from "yaml";
import type { Pod } from "../../src/api/k8s/core.ts";
import type {
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
} from "../../src/api/k8s/network-policy.ts";
import type { LabelSelector, Resource } from "../../src/api/resource.ts";
import { objectsOf, type World, worldOf } from "../../src/core/registry/world.ts";

export const nodeAddress = "192.168.0.1";
export const outsideAddresses = ["203.0.113.7", "10.0.0.9"] as const;

type Labels = Record<string, string>;

/** `pods: { ns/name: labels }`, `policies: { ns/name: spec }`, `namespaces: { name: labels }`. */
export function testWorld(yaml: string): World {
  const {
    pods = {},
    policies = {},
    namespaces = {},
  } = parse(yaml) as {
    pods?: Record<string, Labels>;
    policies?: Record<string, NetworkPolicy["spec"]>;
    namespaces?: Record<string, Labels>;
  };
  return worldOf([
    testNode,
    ...Object.entries(namespaces).map(([name, labels]) => namespace(name, labels)),
    ...Object.entries(pods).map(([name, labels], index) => pod(name, index, labels, 8080)),
    ...Object.entries(policies).map(([name, spec]) => policy(name, spec)),
  ]);
}

export function podsOf(world: World): readonly Pod[] {
  return objectsOf<Pod>(world, "Pod");
}

const testNode: Resource & { status: unknown } = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "node-1" },
  status: { addresses: [{ type: "InternalIP", address: nodeAddress }] },
};

function namespace(name: string, labels: Labels): Resource {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
}

function pod(name: string, index: number, labels: Labels, httpPort: number): Pod {
  const [namespaceName = "", podName = ""] = name.split("/");
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: namespaceName, name: podName, uid: podName, labels },
    spec: {
      nodeName: "node-1",
      containers: [
        { name: "main", image: "any", ports: [{ name: "http", containerPort: httpPort }] },
      ],
    },
    status: { phase: "Running", podIP: `10.244.0.${index}` },
  };
}

function policy(name: string, spec: NetworkPolicy["spec"]): NetworkPolicy {
  const [namespaceName = "", policyName = ""] = name.split("/");
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { namespace: namespaceName, name: policyName },
    spec,
  };
}

const namespaceNames = ["x", "y", "kube-system"];
const values = ["a", "b", "c"];

const labels = fc.dictionary(fc.constantFrom("app", "tier"), fc.constantFrom(...values), {
  maxKeys: 2,
});

const requirement = fc.oneof(
  fc.record({
    key: fc.constantFrom("app", "tier"),
    operator: fc.constantFrom("In" as const, "NotIn" as const),
    values: fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 }),
  }),
  fc.record({
    key: fc.constantFrom("app", "tier"),
    operator: fc.constantFrom("Exists" as const, "DoesNotExist" as const),
  }),
);

const selector: fc.Arbitrary<LabelSelector> = fc.oneof(
  { arbitrary: fc.constant({}), weight: 2 },
  { arbitrary: fc.record({ matchLabels: labels }), weight: 4 },
  {
    arbitrary: fc.record({
      matchExpressions: fc.array(requirement, { minLength: 1, maxLength: 2 }),
    }),
    weight: 2,
  },
  {
    arbitrary: fc.constant({
      matchLabels: { "k8s-app": "kube-dns" },
    }),
    weight: 1,
  },
);

const namespaceSelector: fc.Arbitrary<LabelSelector> = fc.oneof(
  selector,
  fc.constantFrom(...namespaceNames).map((name) => ({
    matchLabels: { "kubernetes.io/metadata.name": name },
  })),
);

const blocks = [
  { cidr: "0.0.0.0/0" },
  { cidr: "10.0.0.0/8", except: ["10.244.0.2/31", "10.244.0.4/32"] },
  { cidr: "10.244.0.0/30" },
  { cidr: "203.0.113.0/24", except: ["203.0.113.7/32"] },
  { cidr: "169.254.0.0/16" },
  { cidr: "fd00::/8" },
];

const peer: fc.Arbitrary<NetworkPolicyPeer> = fc.oneof(
  fc.record({ podSelector: selector }),
  fc.record({ namespaceSelector }),
  fc.record({ podSelector: selector, namespaceSelector }),
  fc.constantFrom(...blocks).map((ipBlock) => ({ ipBlock })),
);

const port: fc.Arbitrary<NetworkPolicyPort> = fc.constantFrom(
  { port: 80 },
  { port: "http" },
  { port: "dns", protocol: "UDP" },
  { port: 8080, endPort: 8090 },
  { protocol: "UDP" },
  { protocol: "UDP", port: 53 },
  { protocol: "TCP", port: "absent" },
);

const rule = fc.record(
  { peers: fc.array(peer, { maxLength: 2 }), ports: fc.array(port, { maxLength: 2 }) },
  { requiredKeys: [] },
);

const spec: fc.Arbitrary<NetworkPolicy["spec"]> = fc
  .record({
    podSelector: selector,
    types: fc.option(
      fc.constantFrom(
        ["Ingress"] as const,
        ["Egress"] as const,
        ["Ingress", "Egress"] as const,
        [],
      ),
      { nil: undefined },
    ),
    ingress: fc.option(fc.array(rule, { maxLength: 2 }), { nil: undefined }),
    egress: fc.option(fc.array(rule, { maxLength: 2 }), { nil: undefined }),
  })
  .map(({ podSelector, types, ingress, egress }) => ({
    podSelector,
    ...(types === undefined ? {} : { policyTypes: [...types] }),
    ...(ingress === undefined ? {} : { ingress: ingress.map((each) => ruleWith("from", each)) }),
    ...(egress === undefined ? {} : { egress: egress.map((each) => ruleWith("to", each)) }),
  }));

function ruleWith(
  field: "from" | "to",
  { peers, ports }: { readonly peers?: NetworkPolicyPeer[]; readonly ports?: NetworkPolicyPort[] },
): Record<string, unknown> {
  return {
    ...(peers === undefined ? {} : { [field]: peers }),
    ...(ports === undefined ? {} : { ports }),
  };
}

/** Three namespaces, two to six pods that disagree about what `http` means, up to four policies. */
export const arbitraryWorld: fc.Arbitrary<World> = fc
  .record({
    namespaceLabels: fc.array(labels, { minLength: 3, maxLength: 3 }),
    pods: fc.array(
      fc.record({
        namespace: fc.constantFrom(...namespaceNames),
        labels,
        http: fc.constantFrom(80, 8080),
      }),
      { minLength: 2, maxLength: 6 },
    ),
    policies: fc.array(fc.record({ namespace: fc.constantFrom(...namespaceNames), spec }), {
      maxLength: 4,
    }),
  })
  .map(({ namespaceLabels, pods, policies }) =>
    worldOf([
      testNode,
      ...namespaceNames.map((name, index) => namespace(name, namespaceLabels[index] ?? {})),
      ...pods.map((each, index) =>
        pod(`${each.namespace}/p${index}`, index, each.labels, each.http),
      ),
      ...policies.map((each, index) => policy(`${each.namespace}/n${index}`, each.spec)),
    ]),
  );
