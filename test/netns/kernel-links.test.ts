/** What the driver makes, as `ip` sees it, and packets through it. */

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { describe, test } from "node:test";
import { hostCidr } from "../../src/base/ip.ts";
import { planNode } from "../../src/core/dataplane/plan-node.ts";
import type { KernelDriver } from "../../src/kernel/driver.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import { podGateway } from "../../src/model/names.ts";
import type { LinkSpec, Plan, Step, VethSpec } from "../../src/model/node-state.ts";
import { linksJson, needsRoot, output, readTcp, Scratch } from "./kernel-scratch.ts";

interface Node {
  readonly netns: string;
  readonly driver: KernelDriver;
}

function openNode(scratch: Scratch): Node {
  const netns = scratch.netns();
  const driver = inNetns(netns, openKernelDriver);
  scratch.defer(() => driver.close());
  return { netns, driver };
}

function pod(netns: string, number: number): VethSpec {
  return {
    kind: "veth",
    name: `hd000000000${number}`,
    mtu: 1450,
    peer: {
      netns,
      ifName: "eth0",
      mac: `02:00:00:00:00:0${number}`,
      addresses: [`10.244.0.${number}`],
    },
  };
}

/** All that makes a pod reachable from its node. */
function attach(veth: VethSpec): Plan {
  return [
    { kind: "link-add", link: veth },
    ...veth.peer.addresses.map(
      (address): Step => ({
        kind: "route-replace",
        route: { destination: hostCidr(address), link: veth.name },
      }),
    ),
  ];
}

const nodeBasics: Plan = [
  { kind: "sysctl", sysctl: { key: "net/ipv4/ip_forward", value: "1" } },
  { kind: "address-add", address: { link: "lo", address: podGateway, prefixLength: 32 } },
];

describe("a pod's link", { skip: needsRoot }, () => {
  test("is up at both ends with name, address, MTU and routes, as ip sees it", () => {
    using scratch = new Scratch();
    const { netns, driver } = openNode(scratch);
    const veth = pod(scratch.netns(), 5);
    driver.apply([...nodeBasics, ...attach(veth)]);
    const { peer } = veth;

    const [host] = linksJson(netns, "show", veth.name);
    assert.equal(host?.mtu, 1450);
    assert.equal(host?.operstate, "UP");
    const [inside] = linksJson(peer.netns, "show", "eth0");
    assert.equal(inside?.address, peer.mac);
    assert.equal(inside?.operstate, "UP");
    assert.equal(inside?.mtu, 1450);
    assert.match(output(peer.netns, "ip", "link", "show", "lo"), /<LOOPBACK,UP/);
    assert.match(
      output(peer.netns, "ip", "-4", "addr"),
      /inet 10\.244\.0\.5\/32 scope global eth0/,
    );
    assert.deepEqual(routesOf(peer.netns), [
      "default via 169.254.1.1 dev eth0 proto static",
      "169.254.1.1 dev eth0 proto static scope link",
    ]);
    assert.deepEqual(routesOf(netns), ["10.244.0.5 dev hd0000000005 proto 72 scope link"]);
  });

  test("carries packets between pods of a node, and dies with either end", async () => {
    using scratch = new Scratch();
    const { driver } = openNode(scratch);
    const [server, client] = [pod(scratch.netns(), 5), pod(scratch.netns(), 6)];
    driver.apply([...nodeBasics, ...attach(server), ...attach(client)]);
    const listener = createServer((connection) => connection.end(connection.remoteAddress ?? ""));
    inNetns(server.peer.netns, () => listener.listen(8080));
    scratch.defer(() => listener.close());
    assert.equal(await readTcp(client.peer.netns, "10.244.0.5", 8080), "::ffff:10.244.0.6");

    output(client.peer.netns, "ip", "link", "delete", "eth0");
    assert.deepEqual(
      driver.observe().links.map((link) => link.name),
      [server.name],
    );
  });

  test("is completed by link-add when it was left half made", () => {
    using scratch = new Scratch();
    const { netns, driver } = openNode(scratch);
    const veth = pod(scratch.netns(), 5);
    driver.apply(attach(veth));
    output(netns, "ip", "link", "set", veth.name, "down");
    output(veth.peer.netns, "ip", "route", "flush", "table", "main");
    output(veth.peer.netns, "ip", "addr", "flush", "dev", "eth0");
    assert.equal(driver.checkPodInterface(veth.peer).length, 3);
    const before = linksJson(netns, "show", veth.name)[0]?.ifindex;
    driver.apply(attach(veth));
    assert.deepEqual(driver.checkPodInterface(veth.peer), []);
    assert.equal(linksJson(netns, "show", veth.name)[0]?.ifindex, before);
  });

  test("that another driver made is observed without its far end until it is adopted", () => {
    using scratch = new Scratch();
    const { netns, driver } = openNode(scratch);
    const veth = pod(scratch.netns(), 5);
    driver.apply(attach(veth));
    const successor = inNetns(netns, openKernelDriver);
    scratch.defer(() => successor.close());
    const unknown = { netns: "", ifName: "", mac: "", addresses: [] };
    assert.deepEqual(successor.observe().links, [{ ...veth, peer: unknown }]);
    successor.apply(attach(veth));
    assert.deepEqual(successor.observe().links, [veth]);
  });

  test("is deleted with a hundred others in the time of a few", () => {
    using scratch = new Scratch();
    const { netns, driver } = openNode(scratch);
    const inside = scratch.netns();
    const names = Array.from({ length: 100 }, (_, i) => `hd${String(i).padStart(10, "0")}`);
    driver.apply(
      names.map((name, i) => ({
        kind: "link-add",
        link: { ...pod(inside, 5), name, peer: { ...pod(inside, 5).peer, ifName: `eth${i}` } },
      })),
    );
    output(netns, "ip", "link", "add", "type", "veth");
    driver.apply(names.map((name) => ({ kind: "link-delete", name })));
    const left = linksJson(netns).map((link) => link.ifname);
    assert.deepEqual(left.sort(), ["lo", "veth0", "veth1"]);
    assert.equal(linksJson(inside).length, 1);
  });
});

describe("links that are nobody's business", { skip: needsRoot }, () => {
  test("are not observed, whatever they are called", () => {
    using scratch = new Scratch();
    const { netns, driver } = openNode(scratch);
    output(netns, "ip", "link", "add", "hdbridge", "type", "bridge");
    output(netns, "ip", "link", "add", "other", "type", "veth", "peer", "name", "more");
    output(netns, "ip", "addr", "add", "192.0.2.1/24", "dev", "other");
    output(netns, "ip", "link", "set", "other", "up");
    output(netns, "ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.2");
    output(netns, "ip", "neigh", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "other");
    const observed = driver.observe();
    assert.deepEqual(observed, {
      sysctls: [],
      links: [],
      addresses: [],
      routes: [],
      neighbours: [],
      forwarding: [],
    });
  });
});

describe("the overlay", { skip: needsRoot }, () => {
  test("is a VXLAN device that learns nothing, with permanent entries, as ip sees it", () => {
    using scratch = new Scratch();
    const { netns, driver } = openNode(scratch);
    const vxlan: LinkSpec = {
      kind: "vxlan",
      name: "hdvxlan",
      mtu: 1450,
      mac: "02:00:00:00:00:01",
      vni: 4096,
      port: 4789,
      local: "127.0.0.1",
    };
    const mac = "02:00:00:00:00:02";
    driver.apply([
      { kind: "link-add", link: vxlan },
      { kind: "neighbour-replace", neighbour: { link: "hdvxlan", address: "10.244.0.64", mac } },
      { kind: "forwarding-replace", forwarding: { link: "hdvxlan", mac, remote: "192.0.2.2" } },
      {
        kind: "route-replace",
        route: {
          destination: { address: "10.244.0.64", prefixLength: 26 },
          link: "hdvxlan",
          via: "10.244.0.64",
          onLink: true,
        },
      },
    ]);
    const [link] = linksJson(netns, "show", "hdvxlan");
    assert.match(
      JSON.stringify(link?.linkinfo),
      /"id":4096.*"local":"127.0.0.1".*"port":4789.*"learning":false/,
    );
    assert.equal(
      output(netns, "bridge", "fdb", "show", "dev", "hdvxlan").trim(),
      `${mac} dst 192.0.2.2 self permanent`,
    );
    assert.equal(
      output(netns, "ip", "neigh", "show", "dev", "hdvxlan").trim(),
      `10.244.0.64 lladdr ${mac} PERMANENT`,
    );
    assert.deepEqual(routesOf(netns), [
      "10.244.0.64/26 via 10.244.0.64 dev hdvxlan proto 72 onlink",
    ]);
  });

  test("takes packets of other nodes' own addresses where the host is strict about all links", () => {
    using scratch = new Scratch();
    const { netns, driver } = openNode(scratch);
    const strict = (link: string) =>
      output(netns, "sysctl", "-q", "-w", `net.ipv4.conf.${link}.rp_filter=1`);
    const inForce = () => output(netns, "sysctl", "-n", "net.ipv4.conf.hdvxlan.rp_filter").trim();
    for (const link of ["all", "default"]) strict(link);
    const vxlan: LinkSpec = {
      kind: "vxlan",
      name: "hdvxlan",
      mtu: 1450,
      mac: "02:00:00:00:00:01",
      vni: 4096,
      port: 4789,
      local: "127.0.0.1",
      looseSources: true,
    };
    const wanted = () => ({ ...driver.observe(), links: [vxlan] });
    driver.apply(planNode(wanted(), driver.observe()));
    assert.equal(inForce(), "2");
    strict("hdvxlan");
    driver.apply(planNode(wanted(), driver.observe()));
    assert.equal(inForce(), "2", "somebody made it strict again");
    assert.deepEqual(planNode(wanted(), driver.observe()), []);
  });

  test("carries packets between pods of two nodes", async () => {
    using scratch = new Scratch();
    const nodes = [openNode(scratch), openNode(scratch)] as const;
    const pods = [pod(scratch.netns(), 1), pod(scratch.netns(), 2)] as const;
    joinUnderlay(nodes[0].netns, nodes[1].netns);
    nodes.forEach(({ driver }, here) => {
      const there = 1 - here;
      const mac = `02:00:00:00:01:0${there}`;
      const remote = `10.244.0.${there + 1}`;
      const own = pods[here];
      if (own === undefined) throw new RangeError("two nodes, two pods");
      driver.apply([
        ...nodeBasics,
        {
          kind: "link-add",
          link: {
            kind: "vxlan",
            name: "hdvxlan",
            mtu: 1450,
            mac: `02:00:00:00:01:0${here}`,
            vni: 4096,
            port: 4789,
            local: `192.0.2.${here + 1}`,
          },
        },
        ...attach(own),
        { kind: "neighbour-replace", neighbour: { link: "hdvxlan", address: remote, mac } },
        {
          kind: "forwarding-replace",
          forwarding: { link: "hdvxlan", mac, remote: `192.0.2.${there + 1}` },
        },
        {
          kind: "route-replace",
          route: {
            destination: { address: remote, prefixLength: 32 },
            link: "hdvxlan",
            via: remote,
            onLink: true,
          },
        },
      ]);
    });
    const listener = createServer((connection) => connection.end("over the overlay"));
    inNetns(pods[1].peer.netns, () => listener.listen(8080));
    scratch.defer(() => listener.close());
    assert.equal(await readTcp(pods[0].peer.netns, "10.244.0.2", 8080), "over the overlay");
    // The gateway address never leaves a node: what the node itself sends has the underlay's address.
    assert.match(
      output(nodes[0].netns, "ip", "route", "get", "10.244.0.2"),
      /dev hdvxlan src 192\.0\.2\.1/,
    );
  });
});

/** A wire between two nodes, 192.0.2.1 and 192.0.2.2. */
function joinUnderlay(first: string, second: string): void {
  const name = second.split("/").at(-1) ?? "";
  output(first, "ip", "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", name);
  for (const [netns, address] of [
    [first, "192.0.2.1/24"],
    [second, "192.0.2.2/24"],
  ] as const) {
    output(netns, "ip", "addr", "add", address, "dev", "wire");
    output(netns, "ip", "link", "set", "wire", "up");
  }
}

function routesOf(netns: string): string[] {
  return output(netns, "ip", "route")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}
