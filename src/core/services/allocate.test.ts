import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import type { Service, ServiceSpec } from "../../api/k8s/core.ts";
import { familyOf, parseCidr } from "../../base/ip.ts";
import { type Allocation, allocate, claimsOf } from "./allocate.ts";

const four = parseCidr("10.96.0.0/16");
const six = parseCidr("fd00:96::/112");
const ports = [{ port: 80, protocol: "TCP" as const }];

function service(name: string, spec: Partial<ServiceSpec> = {}): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: "shop", name },
    spec: { type: "ClusterIP", ports, ...spec },
  };
}

const nobody = () => undefined;

function given(allocation: Allocation): Service {
  assert.equal(allocation.kind, "given", JSON.stringify(allocation));
  return allocation.kind === "given" ? allocation.service : service("none");
}

function refused(allocation: Allocation): readonly string[] {
  return allocation.kind === "refused"
    ? allocation.issues.map(({ path, message }) => `${path}: ${message}`)
    : [allocation.kind];
}

describe("a Service's families", () => {
  const rows = [
    // ranges, spec → families, or what is refused
    [[four], {}, "IPv4"],
    [[four, six], {}, "IPv4"],
    [[six, four], {}, "IPv6"],
    [[four, six], { ipFamilies: ["IPv6"] }, "IPv6"],
    [[four, six], { ipFamilyPolicy: "PreferDualStack" }, "IPv4 IPv6"],
    [[four], { ipFamilyPolicy: "PreferDualStack" }, "IPv4"],
    [
      [four, six],
      { ipFamilyPolicy: "RequireDualStack", ipFamilies: ["IPv6", "IPv4"] },
      "IPv6 IPv4",
    ],
    [[four, six], { clusterIP: "fd00:96::7" }, "IPv6"],
    [[four, six], { clusterIP: "None", ipFamilyPolicy: "PreferDualStack" }, "IPv4 IPv6"],
    [[four], { ipFamilies: ["IPv6"] }, 'spec.ipFamilies[0]: must be one of IPv4, got "IPv6"'],
    [
      [four],
      { ipFamilyPolicy: "RequireDualStack" },
      'spec.ipFamilyPolicy: must be SingleStack or PreferDualStack where Services have only 10.96.0.0/16, got "RequireDualStack"',
    ],
    [
      [four, six],
      { clusterIPs: ["10.96.0.7", "fd01::7"], clusterIP: "10.96.0.7" },
      'spec.clusterIPs[1]: must be in fd00:96::/112, got "fd01::7"',
    ],
  ] as const;
  for (const [ranges, spec, wanted] of rows) {
    test(`are ${wanted} with ${JSON.stringify(spec)} and ranges ${ranges.map(({ address }) => address)}`, () => {
      const allocation = allocate(service("web", spec), undefined, ranges, nobody);
      if (wanted.startsWith("spec")) assert.deepEqual(refused(allocation), [wanted]);
      else {
        const { ipFamilies = [], clusterIPs = [] } = given(allocation).spec;
        assert.equal(ipFamilies.join(" "), wanted);
        if (clusterIPs[0] !== "None") assert.deepEqual(clusterIPs.map(familyOf), ipFamilies);
      }
    });
  }

  test("keep the first address for ever, and the second while the policy asks for it", () => {
    const one = given(allocate(service("web"), undefined, [four, six], nobody));
    const both = given(
      allocate(
        { ...one, spec: { ...one.spec, ipFamilyPolicy: "PreferDualStack" } },
        one,
        [four, six],
        nobody,
      ),
    );
    assert.equal(both.spec.clusterIPs?.length, 2);
    assert.equal(both.spec.clusterIPs?.[0], one.spec.clusterIP);
    const again = given(allocate(service("web"), both, [four, six], nobody));
    assert.equal(again.spec.clusterIP, one.spec.clusterIP);
    const moved = service("web", { clusterIP: "10.96.9.9" });
    assert.match(refused(allocate(moved, one, [four, six], nobody)).join(), /must stay "10\.96\./);
    const headless = service("web", { clusterIP: "None" });
    assert.match(refused(allocate(headless, one, [four], nobody)).join(), /got "None"/);
  });
});

describe("node ports", () => {
  test("are given in Kubernetes' range, one number for both protocols of a port, and kept", () => {
    const dns = service("dns", {
      type: "NodePort",
      ports: [
        { name: "udp", port: 53, protocol: "UDP" },
        { name: "tcp", port: 53, protocol: "TCP" },
        { name: "web", port: 80, protocol: "TCP", nodePort: 30_080 },
      ],
    });
    const made = given(allocate(dns, undefined, [four], nobody));
    const [udp = 0, tcp = 0, web = 0] = (made.spec.ports ?? []).map(({ nodePort }) => nodePort);
    assert.ok(udp >= 30_000 && udp <= 32_767);
    assert.equal(tcp, udp);
    assert.equal(web, 30_080);
    const later = given(allocate(dns, made, [four], nobody));
    assert.deepEqual(later.spec.ports, made.spec.ports);
  });

  test("are refused outside the range, where another has them, and twice in one Service", () => {
    const fixed = (...numbers: number[]) =>
      service("web", {
        type: "NodePort",
        ports: numbers.map((nodePort, index) => ({ port: 80 + index, protocol: "TCP", nodePort })),
      });
    const holder = (claim: string) => (claim === "node port TCP/30001" ? "shop/cart" : undefined);
    assert.deepEqual(refused(allocate(fixed(80), undefined, [four], nobody)), [
      "spec.ports[0].nodePort: must be 30000..32767, got 80",
    ]);
    assert.deepEqual(refused(allocate(fixed(30_001), undefined, [four], holder)), [
      "spec.ports[0].nodePort: must be free, got TCP/30001 of Service shop/cart",
    ]);
    assert.deepEqual(refused(allocate(fixed(30_002, 30_002), undefined, [four], nobody)), [
      "spec.ports[1].nodePort: must be free, got TCP/30002 of Service shop/web",
    ]);
  });

  test("come with a port for health checks where a balancer must know which nodes have endpoints", () => {
    const spec = { type: "LoadBalancer", externalTrafficPolicy: "Local" } as const;
    const made = given(allocate(service("web", spec), undefined, [four], nobody));
    const { healthCheckNodePort = 0 } = made.spec;
    assert.ok(healthCheckNodePort >= 30_000 && healthCheckNodePort <= 32_767);
    assert.notEqual(healthCheckNodePort, made.spec.ports?.[0]?.nodePort);
    const plain = { ...made, spec: { ...made.spec, externalTrafficPolicy: "Cluster" as const } };
    const then = given(allocate(plain, made, [four], nobody));
    assert.equal(then.spec.healthCheckNodePort, undefined);
  });
});

test("no two Services ever hold the same, whatever comes, changes and goes", () => {
  const kind = fc.record({
    name: fc.constantFrom("a", "b", "c", "d", "e"),
    type: fc.constantFrom("ClusterIP" as const, "NodePort" as const, "LoadBalancer" as const),
    policy: fc.constantFrom("SingleStack" as const, "PreferDualStack" as const),
    gone: fc.boolean(),
  });
  const small = [parseCidr("10.0.0.0/29"), parseCidr("fd00::/125")];
  fc.assert(
    fc.property(fc.array(kind, { maxLength: 30 }), (steps) => {
      const stored = new Map<string, Service>();
      for (const { name, type, policy, gone } of steps) {
        if (gone) {
          stored.delete(name);
          continue;
        }
        const holders = new Map(
          [...stored].flatMap(([owner, each]) =>
            claimsOf(each).map((claim) => [claim, `shop/${owner}`] as const),
          ),
        );
        const wanted = service(name, { type, ipFamilyPolicy: policy });
        const allocation = allocate(wanted, stored.get(name), small, (claim) => holders.get(claim));
        if (allocation.kind === "given") {
          stored.set(name, allocation.service);
          assert.deepEqual([...allocation.claims].sort(), [...claimsOf(allocation.service)].sort());
        } else assert.equal(allocation.kind, "exhausted");
      }
      const all = [...stored.values()].flatMap(claimsOf);
      assert.equal(new Set(all).size, all.length);
    }),
    { seed: 11, numRuns: 200 },
  );
});
