import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Service, ServiceSpec } from "../../api/k8s/core.ts";
import { parseCidr } from "../../base/ip.ts";
import { loadBalancerStatuses } from "./load-balancers.ts";

const now = "2030-01-01T00:00:00.000Z";

function service(name: string, spec: Partial<ServiceSpec> = {}, ip?: string): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: "shop", name },
    spec: { type: "LoadBalancer", clusterIP: "10.96.0.1", ...spec },
    ...(ip === undefined ? {} : { status: { loadBalancer: { ingress: [{ ip }] } } }),
  };
}

function addresses(services: readonly Service[], ...pool: readonly string[]) {
  return loadBalancerStatuses(services, pool.map(parseCidr), now).map(([{ metadata }, status]) => {
    const ips = (status.loadBalancer?.ingress ?? []).map(({ ip }) => ip);
    const said = (status.conditions ?? []).map(({ message }) => message);
    return [metadata.name, ...ips, ...said].join(" ");
  });
}

describe("load balancer addresses", () => {
  test("are one of each family that the Service and the pool have", () => {
    const dual = { clusterIPs: ["10.96.0.1", "fd00:96::1"] };
    const [text = ""] = addresses([service("web", dual)], "198.51.100.0/31", "fd00:51::/127");
    assert.match(text, /^web 198\.51\.100\.[01] fd00:51::[01]?$/);
  });

  test("stay while the pool has them, and are given anew where it has not", () => {
    const web = [service("web", {}, "198.51.100.1")];
    assert.deepEqual(addresses(web, "198.51.100.0/30"), ["web 198.51.100.1"]);
    assert.deepEqual(addresses(web, "203.0.113.7/32"), ["web 203.0.113.7"]);
  });

  test("go to those that hold or ask for them before others, and the rest are told", () => {
    const services = [
      service("a"),
      service("b", { loadBalancerIP: "198.51.100.1" }),
      service("c", {}, "198.51.100.0"),
    ];
    assert.deepEqual(addresses(services, "198.51.100.0/31"), [
      "a no IPv4 address of 198.51.100.0/31 is free",
      "b 198.51.100.1",
      "c 198.51.100.0",
    ]);
    assert.deepEqual(
      addresses([service("d", { loadBalancerIP: "192.0.2.1" })], "198.51.100.0/31"),
      ['d spec.loadBalancerIP: must be a free address of 198.51.100.0/31, got "192.0.2.1"'],
    );
  });

  test("of another class, or of a Service that is no balancer, are not ours to give", () => {
    const others = [
      service("theirs", { loadBalancerClass: "example.org/other" }, "198.51.100.1"),
      service("plain", { type: "ClusterIP" }),
      service("was", { type: "NodePort" }, "198.51.100.0"),
    ];
    assert.deepEqual(addresses(others, "198.51.100.0/31"), ["was"]);
  });

  test("are the same when asked again with what was answered", () => {
    const first = loadBalancerStatuses(
      [service("a"), service("b")],
      [parseCidr("198.51.100.1/32")],
      now,
    );
    const stored = first.map(([each, status]) => ({ ...each, status }));
    const again = loadBalancerStatuses(
      stored,
      [parseCidr("198.51.100.1/32")],
      "2031-01-01T00:00:00Z",
    );
    assert.deepEqual(
      again.map(([, status]) => status),
      first.map(([, status]) => status),
    );
  });
});
