/**
 * Kubernetes' own end-to-end table of NetworkPolicy, through the evaluator and through compiled policy.
 *
 * Read from beside the project; cells that say null (a pod and itself) are left out, as the table's makers do.
 */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Namespace, Pod } from "../../api/k8s/core.ts";
import type { Resource } from "../../api/resource.ts";
import { present } from "../../base/error.ts";
import { addressAt, familyOf, type IpFamily, ipFamilies, parseCidr } from "../../base/ip.ts";
import type { Protocol } from "../../model/node-view.ts";
import { addressesOf } from "../registry/workloads.ts";
import { objectKey, objectNamed, objectsOf, type World, worldOf } from "../registry/world.ts";
import { compilePolicies } from "./compile.ts";
import { type ConnectionEnd, evaluatePolicy } from "./evaluate.ts";
import { interpretPolicies } from "./interpret.ts";

interface Case {
  readonly name: string;
  readonly ports: readonly number[];
  readonly protocols: readonly Protocol[];
  readonly pods: readonly string[];
  readonly steps: readonly {
    readonly actions: readonly Readonly<Record<string, unknown>>[];
    readonly probes: readonly {
      readonly port: number;
      readonly protocol: Protocol;
      readonly expected: Readonly<Record<string, Readonly<Record<string, boolean | null>>>>;
    }[];
  }[];
}

const projectRoot = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const table = join(projectRoot, "../shared/conformance/k8s-netpol-e2e/cases.json");
const skip = existsSync(table) ? false : "the table ../shared/conformance/k8s-netpol-e2e is absent";

describe("Kubernetes' table of NetworkPolicy", { skip }, () => {
  const { cases } = JSON.parse(readFileSync(table, "utf8")) as { readonly cases: readonly Case[] };
  const count = { ran: 0, passed: 0, failed: 0, leftOut: 0 };

  for (const [each, family] of cases.flatMap((one) => ipFamilies.map((of) => [one, of] as const))) {
    test(`${each.name} (${family})`, () => {
      const failures: string[] = [];
      let world = startingWorld(each);
      for (const [index, step] of each.steps.entries()) {
        for (const action of step.actions) world = act(world, fillTemplates(action, world, family));
        for (const { port, protocol, expected } of step.probes) {
          for (const [from, row] of Object.entries(expected)) {
            for (const [to, allowed] of Object.entries(row)) {
              if (allowed === null) {
                count.leftOut++;
                continue;
              }
              const wanted = allowed ? "allow" : "deny";
              const found = verdicts(world, [from, to], family, protocol, port);
              count.ran++;
              if (found.evaluated === wanted && found.compiled === wanted) {
                count.passed++;
                continue;
              }
              count.failed++;
              failures.push(
                `step ${index}: ${from} → ${to} ${protocol}/${port}: want ${wanted}, evaluated ${found.evaluated}, compiled ${found.compiled}`,
              );
            }
          }
        }
      }
      assert.deepEqual(failures, []);
    });
  }

  test("is run to its last cell", (t) => {
    const { ran, passed, failed, leftOut } = count;
    t.diagnostic(
      `${cases.length} cases in each of ${ipFamilies.length} families, cells: ${ran} ran, ${passed} passed, ${failed} failed, ${leftOut} left out (a pod and itself, which the table does not say)`,
    );
    assert.equal(failed, 0);
    assert.ok(ran > 0);
  });
});

function verdicts(
  world: World,
  [from, to]: readonly [string, string],
  family: IpFamily,
  protocol: Protocol,
  port: number,
) {
  const { identities, policies } = compilePolicies(world);
  const packetEnd = (name: string) => ({
    address: addressOf(podNamed(world, name), family),
    identity: present(identities.get(name), `identity of ${name}`),
  });
  return {
    evaluated: evaluatePolicy(world, endOf(from, family), endOf(to, family), protocol, port)
      .verdict,
    compiled: interpretPolicies(
      new Map(policies.map((policy) => [policy.identity, policy])),
      packetEnd(from),
      packetEnd(to),
      protocol,
      port,
    ).verdict,
  };
}

/** Namespaces with their name as label, and each pod with a server for each port and protocol. */
function startingWorld({ pods, ports, protocols }: Case): World {
  const namespaces = new Set(pods.map((pod) => pod.split("/")[0] ?? ""));
  return worldOf([
    ...[...namespaces].map((name) => namespace(name, { "kubernetes.io/metadata.name": name })),
    ...pods.map((name, index) => pod(name, index, ports, protocols)),
  ]);
}

function namespace(name: string, labels: Readonly<Record<string, string>>): Namespace {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
}

function pod(
  name: string,
  index: number,
  ports: readonly number[],
  protocols: readonly Protocol[],
): Pod {
  const [namespaceName = "", podName = ""] = name.split("/");
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: namespaceName, name: podName, labels: { pod: podName } },
    spec: {
      nodeName: "node",
      containers: ports.flatMap((port) =>
        protocols.map((protocol) => ({
          name: `cont-${port}-${protocol.toLowerCase()}`,
          image: "any",
          ports: [
            { name: `serve-${port}-${protocol.toLowerCase()}`, containerPort: port, protocol },
          ],
        })),
      ),
    },
    status: {
      phase: "Running",
      podIP: `192.168.${index}.7`,
      podIPs: [{ ip: `192.168.${index}.7` }, { ip: `fd00:${index}::7` }],
    },
  };
}

function act(world: World, action: Readonly<Record<string, unknown>>): World {
  const objects = [...world.objects.values()].flatMap((kind) => [...kind.values()]);
  const replace = (changed: Resource): World =>
    worldOf([
      ...objects.filter(
        (each) => each.kind !== changed.kind || objectKey(each) !== objectKey(changed),
      ),
      changed,
    ]);
  const [verb, argument] = Object.entries(action)[0] ?? [];
  switch (verb) {
    case "createPolicy":
    case "updatePolicy":
      return replace(argument as Resource);
    case "deleteAllPolicies":
      return worldOf(objects.filter((each) => each.kind !== "NetworkPolicy"));
    case "addNamespaceLabels": {
      const { namespace: name, labels } = argument as { namespace: string; labels: object };
      const old = objectNamed<Namespace>(world, "Namespace", "", name)?.metadata.labels;
      return replace(namespace(name, { ...old, ...labels }));
    }
    case "addPodLabels": {
      const wanted = argument as { namespace: string; pod: string; labels: object };
      const old = podNamed(world, `${wanted.namespace}/${wanted.pod}`);
      const labels = { ...old.metadata.labels, ...wanted.labels };
      return replace({ ...old, metadata: { ...old.metadata, labels } });
    }
    default:
      throw new Error(`the table has an action ${verb} that this test does not know`);
  }
}

/** `${IP:ns/pod}` is the pod's address, `${NET4:ns/pod}` that address cut to four bits. */
function fillTemplates(
  action: Readonly<Record<string, unknown>>,
  world: World,
  family: IpFamily,
): Readonly<Record<string, unknown>> {
  const filled = JSON.stringify(action).replace(
    /\$\{(IP|NET4):([^}]+)\}/g,
    (_, what: string, name: string) => {
      const address = addressOf(podNamed(world, name), family);
      return what === "IP" ? address : addressAt(parseCidr(`${address}/4`), 0);
    },
  );
  // The table writes an address as a block of 32 bits.
  return JSON.parse(family === "IPv4" ? filled : filled.replaceAll("::7/32", "::7/128"));
}

function podNamed(world: World, name: string): Pod {
  const pod = objectsOf<Pod>(world, "Pod").find((each) => objectKey(each) === name);
  return present(pod, `pod ${name}`);
}

function addressOf(pod: Pod, family: IpFamily): string {
  const address = addressesOf(pod).find((each) => familyOf(each) === family);
  return present(address, `${family} address of ${pod.metadata.name}`);
}

function endOf(name: string, family: IpFamily): ConnectionEnd {
  const [namespaceName = "", podName = ""] = name.split("/");
  return { kind: "pod", namespace: namespaceName, name: podName, family };
}
