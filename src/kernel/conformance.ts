/**
 * What every KernelDriver promises, as tests that run on the fake and on the running kernel.
 *
 * `describeKernelDriver` registers them; each test gets a kernel of its own in which nothing of ours exists.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseCidr } from "../base/ip.ts";
import { encryptedTable, podGateway } from "../model/names.ts";
import type {
  FastPathSpec,
  NodeState,
  PodInterface,
  Step,
  VethSpec,
  VxlanSpec,
  WireguardSpec,
} from "../model/node-state.ts";
import { renderRuleset } from "../model/ruleset-text.ts";
import type { KernelDriver } from "./driver.ts";

export interface KernelUnderTest {
  readonly driver: KernelDriver;
  /** Makes a pod's namespace and returns its path. */
  createNetns(): string;
  deleteNetns(path: string): void;
  dispose(): void;
}

const nothing: NodeState = {
  sysctls: [],
  links: [],
  addresses: [],
  routes: [],
  neighbours: [],
  forwarding: [],
};

const vxlan: VxlanSpec = {
  kind: "vxlan",
  name: "hdvxlan",
  mtu: 1450,
  mac: "02:00:00:00:00:01",
  vni: 4096,
  port: 4789,
  local: "127.0.0.1",
  looseSources: true,
};

const wireguard: WireguardSpec = {
  kind: "wireguard",
  name: "hdwg",
  mtu: 1440,
  port: 51871,
  hasNodeKey: true,
  looseSources: true,
  peers: ["A", "E"].map((last, index) => ({
    publicKey: `${"k".repeat(42)}${last}=`,
    endpoint: `127.0.0.${index + 2}:51871`,
    allowed: [`10.244.${index}.0/26`, `fd00:244:${index + 1}::/122`],
  })),
};

function vethOf(netns: string, name = "hd0123456789"): VethSpec {
  const peer: PodInterface = {
    netns,
    ifName: "eth0",
    mac: "02:00:00:00:00:0a",
    addresses: ["10.244.0.5"],
  };
  return { kind: "veth", name, mtu: 1450, peer };
}

/** Registers the suite. `open` makes a kernel in which nothing of ours exists; `skip` says why it cannot. */
export function describeKernelDriver(
  name: string,
  open: () => KernelUnderTest,
  skip: string | false = false,
): void {
  const on = (sentence: string, body: (kernel: KernelUnderTest) => void): void => {
    test(sentence, () => {
      const kernel = open();
      try {
        body(kernel);
      } finally {
        kernel.dispose();
      }
    });
  };
  /** Applies twice: every step is idempotent, alone and with its neighbours. */
  const applyTwice = (driver: KernelDriver, plan: readonly Step[]): void => {
    driver.apply(plan);
    driver.apply(plan);
  };

  describe(name, { skip }, () => {
    on("observes nothing where nothing of ours exists", ({ driver }) => {
      assert.deepEqual(driver.observe(), nothing);
    });

    on("makes a pod's link with both its ends", ({ driver, createNetns }) => {
      const veth = vethOf(createNetns());
      applyTwice(driver, [{ kind: "link-add", link: veth }]);
      assert.deepEqual(driver.observe(), { ...nothing, links: [veth] });
      assert.deepEqual(driver.checkPodInterface(veth.peer), []);
    });

    on("changes a pod's MTU in place, keeping its routes", ({ driver, createNetns }) => {
      const veth = vethOf(createNetns());
      const route = {
        destination: { address: "10.244.0.5", prefixLength: 32 },
        link: veth.name,
      };
      driver.apply([
        { kind: "link-add", link: veth },
        { kind: "route-replace", route },
        { kind: "link-add", link: { ...veth, mtu: 1400 } },
      ]);
      assert.deepEqual(driver.observe().links, [{ ...veth, mtu: 1400 }]);
      assert.deepEqual(driver.observe().routes, [route]);
    });

    on("puts a pod's link on the fast path and takes it off, where there is one", (kernel) => {
      const { driver, createNetns } = kernel;
      if (driver.features.fastPath !== true) return;
      const link = vethOf(createNetns());
      const { mac, addresses } = link.peer;
      const fastPath: FastPathSpec = {
        from: "pod",
        link: link.name,
        mtu: link.mtu,
        mac,
        addresses,
        isPaced: false,
      };
      driver.apply([{ kind: "link-add", link }]);
      applyTwice(driver, [{ kind: "fast-path-put", fastPath }]);
      assert.deepEqual(driver.observe().fastPath, [fastPath]);
      applyTwice(driver, [{ kind: "fast-path-delete", fastPath }]);
      assert.deepEqual(driver.observe(), { ...nothing, links: [link] });
      driver.apply([{ kind: "fast-path-put", fastPath }]);
      applyTwice(driver, [
        { kind: "fast-path-delete", fastPath },
        { kind: "link-delete", name: link.name },
      ]);
      assert.deepEqual(driver.observe(), nothing);
    });

    on("limits both ends of a pod's link, and lets the node's loopback on it", (kernel) => {
      const { driver, createNetns } = kernel;
      const { peer, ...host } = vethOf(createNetns());
      const limit = { bitsPerSecond: 8_000_000, burstBytes: 65_536 };
      const veth: VethSpec = {
        ...host,
        limit,
        routesLoopback: true,
        peer: { ...peer, limit: { ...limit, bitsPerSecond: 16_000_000 } },
      };
      applyTwice(driver, [{ kind: "link-add", link: veth }]);
      assert.deepEqual(driver.observe().links, [veth]);
      assert.deepEqual(driver.checkPodInterface(veth.peer), []);
    });

    on("makes a link anew when its pod has a new namespace", ({ driver, createNetns }) => {
      const first = vethOf(createNetns());
      const second = vethOf(createNetns());
      driver.apply([
        { kind: "link-add", link: first },
        { kind: "link-add", link: second },
      ]);
      assert.deepEqual(driver.observe().links, [second]);
      assert.deepEqual(driver.checkPodInterface(second.peer), []);
      assert.equal(driver.checkPodInterface(first.peer).length, 1);
    });

    on("refuses a second link for the same interface of a pod", ({ driver, createNetns }) => {
      const veth = vethOf(createNetns());
      driver.apply([{ kind: "link-add", link: veth }]);
      assert.throws(
        () => driver.apply([{ kind: "link-add", link: { ...veth, name: "hdffffffffff" } }]),
        { code: "kernel.link.exists" },
      );
      assert.deepEqual(driver.observe().links, [veth]);
    });

    on("refuses a link into a namespace that does not exist", ({ driver }) => {
      const veth = vethOf("/run/netns/heddle-test-no-such");
      assert.throws(() => driver.apply([{ kind: "link-add", link: veth }]), {
        code: "kernel.netns.absent",
      });
      assert.deepEqual(driver.observe(), nothing);
    });

    on("deletes a link with all that is on it, present or not", ({ driver, createNetns }) => {
      const veth = vethOf(createNetns());
      driver.apply([
        { kind: "link-add", link: veth },
        {
          kind: "route-replace",
          route: { destination: { address: "10.244.0.5", prefixLength: 32 }, link: veth.name },
        },
      ]);
      applyTwice(driver, [{ kind: "link-delete", name: veth.name }]);
      assert.deepEqual(driver.observe(), nothing);
      assert.equal(driver.checkPodInterface(veth.peer).length, 1);
    });

    on("loses a pod's link with the pod's namespace", (kernel) => {
      const netns = kernel.createNetns();
      const veth = vethOf(netns);
      kernel.driver.apply([{ kind: "link-add", link: veth }]);
      kernel.driver.apply([{ kind: "link-delete", name: veth.name }]);
      kernel.deleteNetns(netns);
      assert.throws(() => kernel.driver.checkPodInterface(veth.peer), {
        code: "kernel.netns.absent",
      });
      kernel.driver.apply([{ kind: "link-delete", name: veth.name }]);
      assert.deepEqual(kernel.driver.observe(), nothing);
    });

    on("makes a WireGuard device, and changes its peers and port in place", ({ driver }) => {
      if (driver.features.wireguard !== "available") return;
      const address = { link: "hdwg", address: "10.244.9.0", prefixLength: 32 };
      const route = { destination: { address: "10.244.0.0", prefixLength: 26 }, link: "hdwg" };
      applyTwice(driver, [
        { kind: "link-add", link: wireguard },
        { kind: "address-add", address },
        { kind: "route-replace", route },
      ]);
      const [first, second] = wireguard.peers;
      assert.ok(first !== undefined && second !== undefined);
      const moved = { ...first, allowed: ["10.244.7.0/26", ...first.allowed].sort() };
      const newcomer = { ...second, publicKey: `${"z".repeat(42)}Q=`, endpoint: "[::1]:51871" };
      for (const next of [
        wireguard,
        { ...wireguard, peers: [moved, second] },
        { ...wireguard, peers: [first, { ...second, endpoint: "127.0.0.9:51871" }] },
        { ...wireguard, peers: [first, newcomer] },
        { ...wireguard, port: 51872, mtu: 1400 },
        { ...wireguard, peers: [] },
      ]) {
        applyTwice(driver, [{ kind: "link-add", link: next }]);
        assert.deepEqual(driver.observe(), {
          ...nothing,
          links: [next],
          addresses: [address],
          routes: [route],
        });
      }
      applyTwice(driver, [{ kind: "link-delete", name: "hdwg" }]);
      assert.deepEqual(driver.observe(), nothing);
    });

    on("makes a VXLAN device and changes it", ({ driver }) => {
      applyTwice(driver, [{ kind: "link-add", link: vxlan }]);
      assert.deepEqual(driver.observe().links, [vxlan]);
      const inPlace = { ...vxlan, mtu: 1400, mac: "02:00:00:00:00:02" };
      driver.apply([{ kind: "link-add", link: inPlace }]);
      assert.deepEqual(driver.observe().links, [inPlace]);
      const anew = { ...vxlan, vni: 77 };
      driver.apply([{ kind: "link-add", link: anew }]);
      assert.deepEqual(driver.observe().links, [anew]);
    });

    on("adds and deletes addresses", ({ driver }) => {
      const gateway = { link: "lo", address: podGateway, prefixLength: 32 };
      const own = { link: "hdvxlan", address: "10.244.0.0", prefixLength: 32 };
      applyTwice(driver, [
        { kind: "link-add", link: vxlan },
        { kind: "address-add", address: gateway },
        { kind: "address-add", address: own },
      ]);
      assert.deepEqual(driver.observe().addresses, [own, gateway]);
      applyTwice(driver, [{ kind: "address-delete", address: gateway }]);
      assert.deepEqual(driver.observe().addresses, [own]);
    });

    on("replaces and deletes routes", ({ driver, createNetns }) => {
      const veth = vethOf(createNetns());
      const pod = { destination: { address: "10.244.0.5", prefixLength: 32 }, link: veth.name };
      const block = {
        destination: { address: "10.244.0.64", prefixLength: 26 },
        link: "hdvxlan",
        via: "10.244.0.64",
        onLink: true,
        mtu: 1400,
      };
      const own = { destination: { address: "10.244.0.0", prefixLength: 26 }, blackhole: true };
      applyTwice(driver, [
        { kind: "link-add", link: vxlan },
        { kind: "link-add", link: veth },
        ...[pod, block, own].map((route): Step => ({ kind: "route-replace", route })),
      ]);
      assert.deepEqual(driver.observe().routes, [own, pod, block]);
      const moved = { ...block, via: "10.244.0.65" };
      driver.apply([{ kind: "route-replace", route: moved }]);
      assert.deepEqual(driver.observe().routes, [own, pod, moved]);
      applyTwice(
        driver,
        [pod, moved, own].map((route): Step => ({ kind: "route-delete", route })),
      );
      assert.deepEqual(driver.observe().routes, []);
    });

    on("has a range of addresses take the routes of a table of its own", ({ driver }) => {
      const table = encryptedTable;
      const rules = ["10.244.0.0/16", "fd00:244::/64"].map((cidr) => ({
        source: parseCidr(cidr),
        table,
      }));
      const routes = ["192.0.2.2/32", "2001:db8::2/128"].map((cidr) => ({
        ...{ destination: parseCidr(cidr), link: "hdvxlan", table },
      }));
      const main = { destination: parseCidr("192.0.2.2/32"), blackhole: true };
      applyTwice(driver, [
        { kind: "link-add", link: vxlan },
        ...[main, ...routes].map((route): Step => ({ kind: "route-replace", route })),
        ...rules.map((rule): Step => ({ kind: "rule-add", rule })),
      ]);
      const found = driver.observe();
      assert.deepEqual([found.rules, found.routes], [rules, [main, ...routes]]);
      applyTwice(driver, [
        ...routes.map((route): Step => ({ kind: "route-delete", route })),
        ...rules.map((rule): Step => ({ kind: "rule-delete", rule })),
      ]);
      assert.deepEqual(driver.observe(), { ...nothing, links: [vxlan], routes: [main] });
    });

    on("replaces and deletes neighbours and forwarding entries", ({ driver }) => {
      const neighbour = { link: "hdvxlan", address: "10.244.0.64", mac: "02:00:00:00:00:02" };
      const forwarding = { link: "hdvxlan", mac: "02:00:00:00:00:02", remote: "192.0.2.2" };
      applyTwice(driver, [
        { kind: "link-add", link: vxlan },
        { kind: "neighbour-replace", neighbour },
        { kind: "forwarding-replace", forwarding },
      ]);
      const moved = {
        neighbour: { ...neighbour, mac: "02:00:00:00:00:03" },
        forwarding: { ...forwarding, remote: "192.0.2.3" },
      };
      assert.deepEqual(driver.observe().neighbours, [neighbour]);
      assert.deepEqual(driver.observe().forwarding, [forwarding]);
      driver.apply([
        { kind: "neighbour-replace", neighbour: moved.neighbour },
        { kind: "forwarding-replace", forwarding: moved.forwarding },
      ]);
      assert.deepEqual(driver.observe().neighbours, [moved.neighbour]);
      assert.deepEqual(driver.observe().forwarding, [moved.forwarding]);
      applyTwice(driver, [
        { kind: "neighbour-delete", neighbour: moved.neighbour },
        { kind: "forwarding-delete", forwarding: moved.forwarding },
      ]);
      assert.deepEqual(driver.observe(), { ...nothing, links: [vxlan] });
    });

    on("takes deletions on links that are gone as done", ({ driver }) => {
      const link = "hdgone";
      driver.apply([
        { kind: "address-delete", address: { link, address: "10.0.0.1", prefixLength: 32 } },
        {
          kind: "route-delete",
          route: { destination: { address: "10.0.0.1", prefixLength: 32 }, link },
        },
        { kind: "neighbour-delete", neighbour: { link, address: "10.0.0.1", mac: vxlan.mac } },
        { kind: "forwarding-delete", forwarding: { link, mac: vxlan.mac, remote: "192.0.2.2" } },
      ]);
      assert.deepEqual(driver.observe(), nothing);
    });

    on("stops at the first step that is refused and keeps those before", ({ driver }) => {
      const route = { destination: { address: "10.0.0.1", prefixLength: 32 }, link: "hdgone" };
      assert.throws(
        () =>
          driver.apply([
            { kind: "link-add", link: vxlan },
            { kind: "route-replace", route },
            { kind: "link-delete", name: vxlan.name },
          ]),
        { code: "kernel.route.absent", message: /10\.0\.0\.1\/32/ },
      );
      assert.deepEqual(driver.observe().links, [vxlan]);
    });

    on("writes settings and reads back those it wrote", ({ driver }) => {
      const sysctl = { key: "net/ipv4/ip_forward", value: "1" };
      applyTwice(driver, [{ kind: "sysctl", sysctl }]);
      assert.deepEqual(driver.observe().sysctls, [sysctl]);
    });

    on("tells how far the table is the expected one, where one is expected", ({ driver }) => {
      const ruleset = { table: "heddle", sets: [], maps: [], chains: [{ name: "x", rules: [] }] };
      assert.equal(driver.observe(ruleset).ruleset, undefined);
      const text = renderRuleset(ruleset);
      driver.apply([{ kind: "nft", text, leadsTo: ruleset, isWhole: true }]);
      assert.equal(driver.observe(ruleset).ruleset, ruleset);
      assert.equal(driver.observe().ruleset, undefined);
    });

    on("commits nftables transactions", ({ driver }) => {
      applyTwice(driver, [{ kind: "nft", text: "add table inet heddle" }]);
    });

    on("applies a ruleset in a pod's namespace, again and again", ({ driver, createNetns }) => {
      const netns = createNetns();
      const ruleset = { table: "heddle", sets: [], maps: [], chains: [] };
      driver.applyRulesetIn(netns, ruleset);
      driver.applyRulesetIn(netns, ruleset);
    });

    on("says what is wrong with a pod's interface", ({ driver, createNetns }) => {
      const veth = vethOf(createNetns());
      assert.match(driver.checkPodInterface(veth.peer).join(), /eth0 does not exist/);
      driver.apply([{ kind: "link-add", link: veth }]);
      const other = { ...veth.peer, mac: "02:00:00:00:00:0b", addresses: ["10.244.0.6"] };
      const found = driver.checkPodInterface(other);
      assert.equal(found.length, 2);
      assert.match(found.join(), /02:00:00:00:00:0a, want 02:00:00:00:00:0b/);
      assert.match(found.join(), /10\.244\.0\.5.*, want 10\.244\.0\.6/);
    });

    on("tells a network namespace from any other file", ({ driver, createNetns }) => {
      assert.equal(driver.isNetns(createNetns()), true);
      for (const path of ["/etc/passwd", "/", "", "/nowhere"]) {
        assert.equal(driver.isNetns(path), false, path);
      }
    });

    on(
      "gives each network namespace a cookie, and no other path one",
      ({ driver, createNetns }) => {
        const [first, second] = [createNetns(), createNetns()];
        const cookies = [first, second, first].map((path) => driver.netnsCookie(path));
        assert.ok(
          cookies.every((cookie) => /^[1-9]\d*$/.test(cookie ?? "")),
          `${cookies}`,
        );
        assert.equal(cookies[2], cookies[0]);
        assert.notEqual(cookies[1], cookies[0]);
        for (const path of ["/etc/passwd", "", "/nowhere"]) {
          assert.equal(driver.netnsCookie(path), undefined, path);
        }
      },
    );

    on("removes a ruleset from a pod's namespace, there or not", ({ driver, createNetns }) => {
      const netns = createNetns();
      const captureRuleset = { table: "heddle", sets: [], maps: [], chains: [] };
      driver.removeRulesetIn(netns, captureRuleset.table);
      driver.applyRulesetIn(netns, captureRuleset);
      assert.deepEqual(driver.checkRuleset(captureRuleset, [], netns), []);
      driver.removeRulesetIn(netns, captureRuleset.table);
      assert.deepEqual(driver.checkRuleset(captureRuleset, [], netns), [
        "nftables table inet heddle is absent",
      ]);
      driver.removeRulesetIn("/run/netns/heddle-test-no-such", captureRuleset.table);
    });

    on("forgets the connections of an address that never had any", ({ driver }) => {
      driver.forgetConnections(new Set(["10.244.0.5"]));
    });
  });
}
