/** What a node is told of the world, and what not. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseAllDocuments } from "yaml";
import type { Resource } from "../../api/resource.ts";
import { overlayFor } from "../topology/overlay.ts";
import { viewFor } from "./view.ts";
import { worldOf } from "./world.ts";

function view(yaml: string, node = "one") {
  const documents = parseAllDocuments(yaml);
  return viewFor(worldOf(documents.map((document) => document.toJS() as Resource)), node);
}

const pod = (name: string, more: string) => `---
apiVersion: v1
kind: Pod
metadata: { namespace: shop, name: ${name}, uid: ${name} }
${more}
`;

const running = (node: string, address: string) =>
  `spec: { nodeName: ${node}, containers: [] }\nstatus: { phase: Running, podIP: ${address} }`;

const node = (name: string, address: string) => `---
apiVersion: v1
kind: Node
metadata: { name: ${name} }
status: { addresses: [{ type: InternalIP, address: ${address} }] }
`;

const block = (cidr: string, owner: string) => `---
apiVersion: heddle.dev/v1
kind: AddressBlock
metadata: { name: "${cidr.replace("/", "-")}" }
spec: { cidr: ${cidr}, node: ${owner} }
`;

describe("a node's view", () => {
  test("says where a pod wants its sidecar, and nothing for what is no mode", () => {
    const annotated = (mode: string) => {
      const yaml = pod("web", running("one", "10.244.0.2")).replace(
        "uid: web",
        `uid: web, annotations: { heddle.dev/sidecar-mode: ${mode} }`,
      );
      return view(yaml).workloads.find(({ name }) => name === "web")?.sidecarMode;
    };
    assert.equal(annotated("shared"), "shared");
    assert.equal(annotated("ambient"), undefined);
  });

  const names = (yaml: string, of = "one") =>
    view(yaml, of).workloads.map(({ name, addresses }) => `${name} ${addresses.join() || "-"}`);

  test("has every pod with an address, its own pods without one, and the DNS server", () => {
    const yaml = [
      pod("here", "spec: { nodeName: one, containers: [] }"),
      pod("there", "spec: { nodeName: two, containers: [] }"),
      pod("far", running("two", "10.244.0.65")),
      pod("unscheduled", "spec: { containers: [] }"),
    ].join("");
    assert.deepEqual(names(yaml), [
      "node-dns 169.254.1.1,fd68:6564:646c::53",
      "far 10.244.0.65",
      "here -",
    ]);
    assert.deepEqual(names(yaml, "two"), [
      "node-dns 169.254.1.1,fd68:6564:646c::53",
      "far 10.244.0.65",
      "there -",
    ]);
  });

  test("leaves out pods on the host's network and pods that have ended", () => {
    const yaml = [
      pod(
        "host",
        "spec: { nodeName: one, hostNetwork: true, containers: [] }\nstatus: { podIP: 192.0.2.1 }",
      ),
      pod(
        "done",
        "spec: { nodeName: one, containers: [] }\nstatus: { phase: Succeeded, podIP: 10.244.0.1 }",
      ),
    ].join("");
    assert.deepEqual(names(yaml), ["node-dns 169.254.1.1,fd68:6564:646c::53"]);
  });

  test("gives an address to one pod: not to the one on its way out", () => {
    const leaving = `---
apiVersion: v1
kind: Pod
metadata: { namespace: shop, name: a-leaving, deletionTimestamp: "2024-01-01T00:00:00Z", creationTimestamp: "2024-01-01T00:00:00Z" }
spec: { nodeName: one, containers: [] }
status: { phase: Running, podIP: 10.244.0.1 }
`;
    assert.deepEqual(names(leaving + pod("new", running("two", "10.244.0.1"))), [
      "node-dns 169.254.1.1,fd68:6564:646c::53",
      "a-leaving -",
      "new 10.244.0.1",
    ]);
  });

  test("tells the names that a pod's runtime asked for beside its own, where they are names", () => {
    const asked = pod("here", running("one", "10.244.0.1")).replace(
      "uid: here }",
      'uid: here, annotations: { heddle.dev/aliases: "db,Main,-,a.b," } }',
    );
    const found = view(asked).workloads.find(({ name }) => name === "here");
    assert.deepEqual(found?.aliases, ["db", "main"]);
  });

  test("tells endpoints that are leaving but answer still from those that are ready", () => {
    const service = (ready: boolean) => `---
apiVersion: v1
kind: Service
metadata: { namespace: shop, name: web }
spec: { clusterIP: 10.96.0.1, ports: [{ port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { namespace: shop, name: web, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [{ port: 8080 }]
endpoints:
  - { addresses: [10.244.0.1], conditions: { ready: false, serving: true, terminating: true } }
  - { addresses: [10.244.0.2], conditions: { ready: ${ready}, serving: ${ready}, terminating: false } }
`;
    const endpoints = (ready: boolean) => {
      const port = view(service(ready)).services[0]?.ports[0];
      return [port?.endpoints, port?.draining].map((list) => list?.map(({ address }) => address));
    };
    assert.deepEqual(endpoints(true), [["10.244.0.2"], ["10.244.0.1"]]);
    assert.deepEqual(endpoints(false), [[], ["10.244.0.1"]]);
  });

  test("is the same, list by list, for the same world", () => {
    const world = worldOf([]);
    assert.equal(viewFor(world, "one").services, viewFor(world, "two").services);
    assert.equal(viewFor(world, "one").policies, viewFor(world, "two").policies);
  });
});

describe("the way to other nodes", () => {
  const yaml = [
    node("one", "192.0.2.1"),
    node("two", "192.0.2.2"),
    block("10.244.0.0/26", "one"),
    block("10.244.0.192/26", "two"),
    block("10.244.0.64/26", "two"),
  ].join("");

  test("is one neighbour and one forwarding entry a node, and a route a block", () => {
    const { links, addresses, neighbours, forwarding, routes } = overlayFor(view(yaml));
    const mac = view(yaml).nodes.find(({ name }) => name === "two")?.vtepMac;
    assert.deepEqual(
      links.map(({ name, mtu }) => [name, mtu]),
      [["hdvxlan", 1450]],
    );
    assert.deepEqual(addresses, [{ link: "hdvxlan", address: "192.0.2.1", prefixLength: 32 }]);
    assert.deepEqual(neighbours, [{ link: "hdvxlan", address: "192.0.2.2", mac }]);
    assert.deepEqual(forwarding, [{ link: "hdvxlan", mac, remote: "192.0.2.2" }]);
    assert.deepEqual(routes, [
      { destination: { address: "10.244.0.0", prefixLength: 26 }, blackhole: true },
      ...["10.244.0.64", "10.244.0.192"].map((address) => ({
        destination: { address, prefixLength: 26 },
        link: "hdvxlan",
        via: "192.0.2.2",
        onLink: true,
      })),
    ]);
  });

  test("is by way of the node itself without encapsulation", () => {
    const { links, routes } = overlayFor(
      view(`${yaml}---
apiVersion: heddle.dev/v1
kind: Network
metadata: { name: default }
spec: { podCidr: 10.244.0.0/16, blockPrefixLength: 26, serviceCidr: 10.96.0.0/16, encap: none }
`),
    );
    assert.deepEqual(links, []);
    assert.deepEqual(routes[1], {
      destination: { address: "10.244.0.64", prefixLength: 26 },
      via: "192.0.2.2",
    });
  });

  test("is unknown until the node's own address is", () => {
    assert.deepEqual(overlayFor(view(node("two", "192.0.2.2"))).links, []);
  });
});
