import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { EndpointView, NodeView, ServiceView } from "../../model/node-view.ts";
import { viewFor } from "../registry/view.ts";
import { emptyWorld } from "../registry/world.ts";
import { goneAddresses, staleConnections } from "./stale-connections.ts";

const base = viewFor(emptyWorld(), "one");

function dns(endpoints: readonly string[], changes: Partial<ServiceView> = {}): ServiceView {
  const view = (address: string): EndpointView => ({ address, port: 5353 });
  return {
    namespace: "shop",
    name: "dns",
    clusterIp: "10.96.0.53",
    external: [{ kind: "load-balancer", address: "198.51.100.53" }],
    ports: [
      { name: "udp", protocol: "UDP", port: 53, nodePort: 30053, endpoints: endpoints.map(view) },
      { name: "tcp", protocol: "TCP", port: 53, endpoints: endpoints.map(view) },
    ],
    ...changes,
  };
}

const viewOf = (...services: readonly ServiceView[]): NodeView => ({ ...base, services });

/** `destination:port>answerer:port` → whether it is forgotten. */
function verdicts(before: NodeView | undefined, after: NodeView, ...connections: string[]) {
  const isStale = staleConnections(before, after);
  return connections.map((text) => {
    const [, destination = "", port, answerer = "", answererPort] =
      /^(.+):(\d+)>(.+):(\d+)$/.exec(text) ?? [];
    return (
      isStale?.({
        protocol: "udp",
        destination,
        destinationPort: Number(port),
        answerer,
        answererPort: Number(answererPort),
      }) ?? false
    );
  });
}

describe("datagram connections are forgotten", () => {
  const a = "10.244.0.1";
  const b = "10.244.0.2";
  const toA = `10.96.0.53:53>${a}:5353`;
  const toB = `10.96.0.53:53>${b}:5353`;
  const toNobody = "10.96.0.53:53>10.96.0.53:53";

  test("when their endpoint goes, and only theirs", () => {
    const two = viewOf(dns([a, b]));
    assert.deepEqual(verdicts(two, viewOf(dns([b])), toA, toB), [true, false]);
  });

  test("when the first endpoint comes, for what went nowhere until then", () => {
    assert.deepEqual(verdicts(viewOf(dns([])), viewOf(dns([a])), toNobody, toA), [true, false]);
  });

  test("when the last endpoint or the Service goes", () => {
    const one = viewOf(dns([a]));
    assert.deepEqual(verdicts(one, viewOf(dns([])), toA), [true]);
    assert.deepEqual(verdicts(one, viewOf(), toA), [true]);
  });

  test("when a port is another's, at every address that leads there", () => {
    const port = dns([a]).ports.map((each) => ({ ...each, port: 54, nodePort: 30054 }));
    const after = viewOf(dns([a], { ports: port }));
    assert.deepEqual(
      verdicts(
        viewOf(dns([a])),
        after,
        toA,
        `198.51.100.53:53>${a}:5353`,
        `127.0.0.1:30053>${a}:5353`,
        `203.0.113.1:30053>${a}:5353`,
        `10.96.0.53:54>${a}:5353`,
      ),
      [true, true, true, false, false],
    );
  });

  test("never for an endpoint that drains, or for another Service's change", () => {
    const [udp] = dns([b]).ports;
    assert.ok(udp !== undefined);
    const draining = { ...udp, draining: [{ address: a, port: 5353 }] };
    const other: ServiceView = { ...dns([b]), name: "other", clusterIp: "10.96.0.54" };
    const kept = dns([a, b]);
    assert.deepEqual(verdicts(viewOf(kept), viewOf(dns([b], { ports: [draining] })), toA), [false]);
    assert.deepEqual(verdicts(viewOf(kept), viewOf(kept, other), toA, "8.8.8.8:53>8.8.8.8:53"), [
      false,
      false,
    ]);
  });

  test("at an agent's start, when nothing is known, by what is wanted now", () => {
    assert.deepEqual(verdicts(undefined, viewOf(dns([b])), toA, toB), [true, false]);
  });

  test("without a look at the table where only TCP is concerned or nothing has changed", () => {
    const tcp = (address: string) =>
      dns([], { ports: dns([address]).ports.filter(({ protocol }) => protocol === "TCP") });
    assert.equal(staleConnections(viewOf(tcp(a)), viewOf(tcp(b))), undefined);
    const view = viewOf(dns([a]));
    assert.equal(staleConnections(view, { ...view }), undefined);
  });
});

test("addresses that no pod has any more are those of other nodes' pods", () => {
  const workload = (name: string, node: string, address: string) => ({
    namespace: "shop",
    name,
    uid: name,
    node,
    addresses: [address],
    identity: 1,
    serviceAccount: "default",
    labels: {},
    meshed: true,
  });
  const near = workload("near", "one", "10.244.0.1");
  const far = workload("far", "two", "10.244.0.65");
  const moved = workload("moved", "two", "10.244.0.66");
  const before = { ...base, workloads: [near, far, moved] };
  const after = { ...base, workloads: [workload("heir", "two", "10.244.0.66")] };
  assert.deepEqual(goneAddresses(before, after), ["10.244.0.65"]);
  assert.deepEqual(goneAddresses(undefined, after), []);
});
