import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parse } from "yaml";
import { kinds } from "../kinds.ts";
import { renderIssue } from "./issue.ts";
import { validateObject } from "./object.ts";
import { cases, minimalPod } from "./testdata/cases.ts";

/** What validation says of a kind's spec written in YAML: `error path: message`, or nothing. */
function issuesOf(kind: string, spec: string, rest: object = {}): readonly string[] {
  const known = kinds.find((one) => one.kind === kind);
  const object = {
    apiVersion: known?.apiVersions[0],
    kind,
    metadata: { name: "it", ...(known?.namespaced && { namespace: "shop" }) },
    ...(spec !== "" && { spec: parse(spec) }),
    ...rest,
  };
  return validateObject(object).map((issue) => `${issue.severity} ${renderIssue(issue)}`);
}

/** Every field and every item, with what holds it. */
function placesIn(holder: object): [holder: Record<string, unknown>, key: string][] {
  return Object.entries(holder).flatMap(([key, value]) => [
    [holder as Record<string, unknown>, key],
    ...(typeof value === "object" && value !== null ? placesIn(value) : []),
  ]);
}

describe("validation of", () => {
  for (const [title, kind, spec, ...issues] of cases) {
    test(`${title} ${issues.length === 0 ? "finds nothing" : "says what is wanted and what was found"}`, () => {
      assert.deepEqual(issuesOf(kind, spec), issues);
    });
  }

  test("takes fields that are null for absent, and survives whatever else stands in their place", () => {
    // A key of YAML with nothing behind it is null; templates leave many of those behind.
    const odd = [null, 5, "x", true, {}, [], [null], [5], { a: null }];
    const samples = [
      ...cases,
      [
        "",
        "Service",
        "{type: LoadBalancer, clusterIPs: [], ipFamilies: [], externalIPs: [], ports: []}",
      ],
      ["", "VirtualService", "{hosts: [a], gateways: [mesh], tls: [], tcp: []}"],
      ["", "Pod", `{initContainers: [], ${minimalPod}}`],
    ] as const;
    for (const [, kind, spec] of samples) {
      const whole = { spec: parse(spec) };
      for (const [holder, key] of placesIn(whole)) {
        const before = holder[key];
        for (const value of odd) {
          holder[key] = value;
          assert.doesNotThrow(() => issuesOf(kind, "", whole), `${kind} ${JSON.stringify(whole)}`);
        }
        holder[key] = before;
      }
    }
    const written =
      "{hosts: [a], gateways: , http: [{match: , timeout: , route: [{destination: {host: a}, weight: }]}]}";
    assert.deepEqual(issuesOf("VirtualService", written), []);
  });

  test("names and labels follows Kubernetes", () => {
    const labels = { "bad key!": "v", good: "a value" };
    const metadata = { name: "Cart_1", namespace: "shop", labels };
    assert.deepEqual(issuesOf("ConfigMap", "", { metadata }), [
      'error metadata.name: must be a DNS name (letters a-z, digits, - and ., at most 253, no - or . at either end), got "Cart_1"',
      'error metadata.labels["bad key!"]: must be a label key: [DNS name/]letters, digits, -, _ and ., at most 63, got "bad key!"',
      'error metadata.labels["good"]: must be a label value: letters, digits, -, _ and ., at most 63, alphanumeric at both ends, got "a value"',
    ]);
  });

  test("a Pod's sidecar mode takes the two that there are", () => {
    const annotated = (mode: string) => {
      const metadata = { name: "a", annotations: { "heddle.dev/sidecar-mode": mode } };
      return issuesOf("Pod", `{${minimalPod}}`, { metadata });
    };
    for (const mode of ["dedicated", "shared"]) assert.deepEqual(annotated(mode), []);
    assert.deepEqual(annotated("Shared"), [
      'error metadata.annotations["heddle.dev/sidecar-mode"]: must be one of dedicated, shared, got "Shared"',
    ]);
  });

  test("what goes past a Pod's sidecar takes lists, and all where Istio does", () => {
    const annotated = (name: string, list: string) => {
      const annotations = { [`traffic.sidecar.istio.io/${name}`]: list };
      return issuesOf("Pod", `{${minimalPod}}`, { metadata: { name: "a", annotations } });
    };
    for (const [name, list] of [
      ["includeInboundPorts", "*"],
      ["includeInboundPorts", ""],
      ["excludeOutboundPorts", "3306, 6379"],
      ["includeOutboundIPRanges", "*"],
      ["excludeOutboundIPRanges", "10.0.0.0/8,fd00::/8"],
    ] as const) {
      assert.deepEqual(annotated(name, list), [], `${name} ${list}`);
    }
    const where = (name: string) =>
      `error metadata.annotations["traffic.sidecar.istio.io/${name}"]`;
    assert.deepEqual(annotated("excludeInboundPorts", "*"), [
      `${where("excludeInboundPorts")}: must be a list of ports such as 3306,6379, got "*"`,
    ]);
    assert.deepEqual(annotated("includeInboundPorts", "http"), [
      `${where("includeInboundPorts")}: must be * or a list of ports such as 3306,6379, got "http"`,
    ]);
    assert.deepEqual(annotated("excludeOutboundIPRanges", "10.0.0.1"), [
      `${where("excludeOutboundIPRanges")}: must be a list of CIDRs such as 10.0.0.0/8,192.0.2.0/24, got "10.0.0.1"`,
    ]);
  });

  test("every kind in the list of kinds is possible", () => {
    for (const { kind } of kinds) {
      const issues = issuesOf(kind, "{}");
      assert.ok(!issues.some((issue) => issue.includes("known kind")), kind);
    }
  });
});
