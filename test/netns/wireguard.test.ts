/** Pods of two nodes over the encrypted overlay: who reaches whom, and what of it a machine on the wire can read. */

import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { until } from "../../src/agent/fake/calls.ts";
import { planNode } from "../../src/core/dataplane/plan-node.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import { processesIn } from "../../src/lab/processes.ts";
import { connect, ip, type Netns, TestNetwork } from "./dataplane-node.ts";
import { needsRoot } from "./kernel-scratch.ts";
import { type EncryptedNode, EncryptedSite, worldFor } from "./wireguard-node.ts";

const nodes = {
  one: { addresses: ["192.0.2.1"], pods: ["web", "cart"] },
  two: { addresses: ["192.0.2.2"], pods: ["api", "other"] },
};
const secret = "heddle-payload-in-the-clear";
const [web, cart] = ["10.244.0.1", "10.244.0.2"];
const [api, apiSix, other] = ["10.244.0.65", "fd00:244::41", "10.244.0.66"];

const policy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { namespace: shop, name: api }
spec:
  podSelector: { matchLabels: { app: api } }
  policyTypes: [Ingress]
  ingress:
    - from: [{ podSelector: { matchLabels: { app: web } } }]
      ports: [{ port: 8080 }]
`;

async function openSite(of: Readonly<Record<string, EncryptedNode>>): Promise<EncryptedSite> {
  const network = new TestNetwork();
  const site = new EncryptedSite(network, of);
  site.show(worldFor(of, site.keys));
  for (const [node, pod] of [
    ["one", "web"],
    ["one", "cart"],
    ["two", "api"],
    ["two", "other"],
  ] as const) {
    for (const port of [8080, 9090]) {
      await network.serve(site.node(node).pod(pod), port, `${pod} ${secret}`);
    }
  }
  return site;
}

/** Heads of packets that are not WireGuard's, nor what links say to find each other. */
function others(heads: readonly string[]): readonly string[] {
  return heads.filter(
    (head) => !/\.51871: UDP, length|ICMP6, (neighbor|router|multicast)|: igmp /.test(head),
  );
}

describe("the encrypted overlay", { skip: needsRoot, timeout: 300_000 }, () => {
  let site: EncryptedSite;
  let one: Netns;

  before(async () => {
    site = await openSite(nodes);
    one = site.node("one").pod("web");
  });
  after(() => site?.[Symbol.asyncDispose]());

  test("leads pods to each other by IPv4 and IPv6, as themselves, and nothing of it can be read", async () => {
    const capture = await site.capture();
    assert.equal(await connect(one, api, 8080, "tcp", 5), `api ${secret} ${web}`);
    assert.equal(await connect(one, apiSix, 8080, "tcp", 5), `api ${secret} fd00:244::1`);
    const from = site.node("two").pod("api");
    assert.equal(await connect(from, cart, 8080, "tcp", 5), `cart ${secret} ${api}`);
    const { heads, text } = await capture.stop();
    assert.ok(heads.length >= 12, `${heads.length} packets`);
    assert.deepEqual(others(heads), []);
    assert.equal(text.includes(secret), false);
  });

  test("carries what a node itself sends to pods of others, also where the other is strict about sources", async () => {
    const { host } = site.node("one");
    site.setStrict("two", true);
    try {
      assert.equal(await connect(host, api, 8080, "tcp", 5), `api ${secret} 192.0.2.1`);
    } finally {
      site.setStrict("two", false);
    }
  });

  test("takes packets of the size that the way leaves, and not one byte more", async () => {
    assert.equal(await pings(one, api, 1440 - 28), true);
    assert.equal(await pings(one, api, 1440 - 27), false);
    assert.equal(await pings(one, apiSix, 1440 - 48), true);
    assert.equal(await pings(one, apiSix, 1440 - 47), false);
  });

  test("holds pods to policy by who they are on the other node", async () => {
    site.show(worldFor(nodes, site.keys, policy));
    assert.equal(await connect(one, api, 8080, "tcp", 5), `api ${secret} ${web}`);
    assert.equal(await connect(one, api, 9090), "timeout");
    assert.equal(await connect(site.node("one").pod("cart"), api, 8080), "timeout");
    assert.equal(await connect(site.node("one").pod("cart"), apiSix, 8080), "timeout");
    site.show(worldFor(nodes, site.keys));
  });

  test("refuses what comes beside it with a pod's address", async () => {
    // A machine on the wire that says it is `web`.
    ip(site.wire, `address add ${web}/32 dev wire; route add ${api}/32 via 192.0.2.2 src ${web}`);
    try {
      const before = echoesTo(site.node("two").pod("api"));
      assert.equal(await pings(site.wire, api, 8, web), false);
      assert.equal(echoesTo(site.node("two").pod("api")), before);
      // Nor is the node itself asked by it: its own `web` comes encrypted.
      assert.equal(await pings(one, "192.0.2.2", 8), true);
      const { host } = site.node("two");
      const asked = echoesTo(host);
      assert.equal(await pings(site.wire, "192.0.2.2", 8, web), false);
      assert.equal(echoesTo(host), asked);
    } finally {
      ip(site.wire, `route delete ${api}/32; address delete ${web}/32 dev wire`);
    }
  });

  test("is led nowhere else while its device is gone, and comes back with the next look", async () => {
    const before = site.node("one").driver.wireguard()?.device.publicKey;
    const capture = await site.capture();
    ip(site.node("one").host, "link delete hdwg");
    assert.equal(await connect(one, api, 8080), "timeout");
    const { heads, text } = await capture.stop();
    assert.deepEqual(others(heads), []);
    assert.equal(text.includes(api), false);
    site.node("one").repair();
    assert.equal(await connect(one, api, 8080, "tcp", 5), `api ${secret} ${web}`);
    assert.equal(site.node("one").driver.wireguard()?.device.publicKey, before);
  });

  test("is put right where others changed its peers, and the sessions of the rest go on", async () => {
    const two = site.node("two");
    const [peer] = two.driver.wireguard()?.device.peers ?? [];
    assert.ok(peer?.handshakeAt !== undefined);
    const stranger = `${"z".repeat(42)}Q=`;
    two.wg("set", "hdwg", "peer", stranger, "allowed-ips", "10.244.0.1/32");
    assert.equal(await connect(one, api, 8080), "timeout");
    assert.deepEqual(
      two.repair().map(({ kind }) => kind),
      ["link-add", "address-add", "address-add", "route-replace", "route-replace", "route-replace"],
    );
    assert.equal(await connect(one, api, 8080, "tcp", 5), `api ${secret} ${web}`);
    const [again, ...more] = two.driver.wireguard()?.device.peers ?? [];
    assert.deepEqual([again?.publicKey, more], [peer.publicKey, []]);
    assert.ok((again?.receivedBytes ?? 0) >= peer.receivedBytes, "the same session goes on");
  });

  test("needs no step once it is as wanted, and no restart of a driver is felt", async () => {
    using echoes = new Echoes(one, api);
    for (const name of ["one", "two"]) {
      await echoes.more(25);
      site.node(name).restart();
      const kinds = site
        .node(name)
        .show(worldFor(nodes, site.keys))
        .map(({ kind }) => kind);
      // What a driver remembers of settings, tables and pods' far ends does not outlive it.
      assert.deepEqual(
        site
          .node(name)
          .repair()
          .map(({ kind }) => kind),
        [],
      );
      assert.equal(kinds.includes("route-delete") || kinds.includes("link-delete"), false);
      await echoes.more(25);
    }
    assert.match(await echoes.stop(), / 0% packet loss/);
  });

  test("is made again where the program that kept it died", async () => {
    const { host, driver } = site.node("one");
    if (driver.wireguard()?.maker === "kernel") return; // nobody keeps it
    for (const { pid } of processesIn([host.path])) process.kill(pid, "SIGKILL");
    await until(() => driver.wireguard() === undefined);
    assert.equal(await connect(one, api, 8080), "timeout");
    site.node("one").repair();
    assert.equal(await connect(one, api, 8080, "tcp", 10), `api ${secret} ${web}`);
  });

  test("costs the agent a second and goes on where the program that keeps it hangs", async () => {
    const node = site.node("one");
    if (node.driver.wireguard()?.maker === "kernel") return; // nobody keeps it
    const [{ pid } = { pid: 0 }] = processesIn([node.host.path]);
    process.kill(pid, "SIGSTOP");
    try {
      const looks = Array.from({ length: 5 }, () => {
        const since = performance.now();
        assert.throws(() => node.repair(), {
          code: "kernel.wireguard.refused",
          message: /hdwg: .* not answered/,
        });
        return Math.round(performance.now() - since);
      });
      // The first waits; of the others at least one finds the machine with time for it.
      assert.ok(Math.min(...looks.slice(1)) < 500, `${looks} ms`);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    assert.equal(await connect(one, api, 8080, "tcp", 5), `api ${secret} ${web}`);
    await until(() => node.driver.wireguard() !== undefined);
    assert.deepEqual(node.repair(), []);
    assert.deepEqual(
      processesIn([node.host.path]).map((each) => each.pid),
      [pid],
    );
  });

  test("is not made anew where wg is killed, or cannot be run, before it has told of it", async () => {
    const { host, driver } = site.node("one");
    const links = () =>
      inNetns(host.path, () => execFileSync("ip", ["-o", "link", "show", "hdwg"]));
    const [before = ""] = `${links()}`.split(": ");
    const folder = mkdtempSync(join(tmpdir(), "heddle-wg-"));
    const { PATH } = process.env;
    process.env["PATH"] = `${folder}:${PATH}`;
    try {
      for (const [program, said] of [
        ["kill -KILL $$", /look at WireGuard device hdwg: wg was ended by SIGKILL$/],
        ["echo fork: out of memory >&2; exit 1", /hdwg: fork: out of memory$/],
      ] as const) {
        writeFileSync(join(folder, "wg"), `#!/bin/sh\n${program}\n`, { mode: 0o755 });
        assert.throws(() => site.node("one").repair(), { message: said });
      }
    } finally {
      process.env["PATH"] = PATH;
      rmSync(folder, { recursive: true });
    }
    assert.equal(`${links()}`.split(": ")[0], before);
    assert.ok(driver.wireguard() !== undefined);
    assert.equal(await connect(one, api, 8080, "tcp", 5), `api ${secret} ${web}`);
  });

  test("follows a node's new key, and takes nothing by the old one", async () => {
    const old = site.keys["two"];
    site.node("two").rotate();
    assert.notEqual(site.keys["two"], old);
    site.show(worldFor(nodes, site.keys));
    assert.equal(await connect(one, api, 8080, "tcp", 10), `api ${secret} ${web}`);
    const keys = site
      .node("one")
      .driver.wireguard()
      ?.device.peers.map((peer) => peer.publicKey);
    assert.deepEqual(keys, [site.keys["two"]]);
  });

  test("tells of each peer the last handshake and the bytes", async () => {
    const [peer] = site.node("one").driver.wireguard()?.device.peers ?? [];
    assert.ok(Math.abs(Date.now() / 1000 - (peer?.handshakeAt ?? 0)) < 120);
    assert.ok((peer?.sentBytes ?? 0) > 0 && (peer?.receivedBytes ?? 0) > 0);
    assert.equal(peer?.endpoint, "192.0.2.2:51871");
    assert.equal(await connect(one, other, 8080, "tcp", 5), `other ${secret} ${web}`);
  });

  test("needs no step at each look where two Node objects show one address, as after a machine was renamed", async () => {
    const renamed = { ...nodes, zwei: { addresses: ["192.0.2.2"], pods: [] } };
    const keys = { ...site.keys, zwei: site.keys["two"] ?? "", two: `${"A".repeat(42)}E=` };
    const steps = () => site.node("one").repair();
    site.node("one").show(worldFor(renamed, keys));
    assert.deepEqual([steps(), steps()], [[], []]);
    site.show(worldFor(nodes, site.keys));
    assert.equal(await connect(one, api, 8080, "tcp", 10), `api ${secret} ${web}`);
  });

  test("is taken away where the key was damaged by the time that nobody wants it", () => {
    const { host } = site.node("two");
    const driver = inNetns(host.path, () =>
      openKernelDriver({ wireguard: { missing: "damaged" } }),
    );
    try {
      const observed = driver.observe();
      const plan = planNode({ ...observed, links: [], addresses: [], routes: [] }, observed);
      const deleted = plan.flatMap((step) => (step.kind === "link-delete" ? [step.name] : []));
      assert.ok(deleted.includes("hdwg"), deleted.join());
    } finally {
      driver.close();
    }
  });

  test("goes with its device, whoever made it", async () => {
    const { host, driver } = site.node("two");
    const isUserspace = driver.wireguard()?.maker === "wireguard-go";
    assert.equal(processesIn([host.path]).length, isUserspace ? 1 : 0);
    driver.apply([{ kind: "link-delete", name: "hdwg" }]);
    await until(() => processesIn([host.path]).length === 0);
    assert.equal(driver.wireguard(), undefined);
  });
});

describe("a node without WireGuard, where the network wants it", {
  skip: needsRoot,
  timeout: 300_000,
}, () => {
  const half = { ...nodes, two: { ...nodes.two, isPlain: true } } as const;
  let site: EncryptedSite;

  before(async () => {
    site = await openSite(half);
  });
  after(() => site?.[Symbol.asyncDispose]());

  test("refuses with what is missing, and reaches and is reached by nobody, least of all in the clear", async () => {
    const { one, two } = { one: site.node("one"), two: site.node("two") };
    assert.match(two.diagnostics.join("\n"), /HEDDLE0305 wireguard is not available on this node/);
    assert.match(
      one.diagnostics.join("\n"),
      /HEDDLE0304 .* node two has published no WireGuard key/,
    );
    const capture = await site.capture();
    assert.equal(await connect(two.pod("api"), web, 8080), "timeout");
    assert.equal(await connect(two.pod("api"), "fd00:244::1", 8080), "timeout");
    assert.equal(await connect(one.pod("web"), api, 8080), "timeout");
    assert.equal(await connect(one.pod("web"), apiSix, 8080), "timeout");
    const { heads, text } = await capture.stop();
    assert.deepEqual(others(heads), []);
    assert.equal(/10\.244\.0\.|fd00:244/.test(text), false);
    assert.equal(await connect(two.pod("api"), other, 8080, "tcp", 5), `other ${secret} ${api}`);
  });

  test("sends nothing in the clear by routes of others either", async () => {
    const two = site.node("two");
    const capture = await site.capture();
    ip(two.host, "route add 10.244.0.0/28 via 192.0.2.1");
    assert.equal(await connect(two.pod("api"), web, 8080), "timeout");
    ip(two.host, "route delete 10.244.0.0/28");
    assert.deepEqual(others((await capture.stop()).heads), []);
  });
});

/** Fifty echoes a second, until they are stopped. */
class Echoes implements Disposable {
  readonly #child;
  readonly #closed;
  #text = "";

  constructor(from: Netns, to: string) {
    this.#child = execFile("ip", ["netns", "exec", from.name, "ping", "-i", "0.02", "-W", "5", to]);
    this.#closed = once(this.#child, "close");
    this.#child.stdout?.on("data", (chunk: string) => {
      this.#text += chunk;
    });
  }

  /** Until so many more have come back. */
  async more(count: number): Promise<void> {
    const before = this.#answers();
    await until(() => this.#answers() >= before + count);
  }

  #answers(): number {
    return this.#text.split("bytes from").length - 1;
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }

  /** What ping says at the end. */
  async stop(): Promise<string> {
    this.#child.kill("SIGINT");
    await this.#closed;
    return this.#text.slice(this.#text.indexOf("---"));
  }
}

/** Echo requests that have arrived in a namespace. */
function echoesTo({ path }: Netns): number {
  const text = inNetns(path, () => readFileSync("/proc/thread-self/net/snmp", "utf8"));
  const [names = [], values = []] = text
    .split("\n")
    .filter((line) => line.startsWith("Icmp:"))
    .map((line) => line.split(" "));
  return Number(values[names.indexOf("InEchos")]);
}

/** Whether one echo of that many bytes, never fragmented, comes back. */
async function pings(from: Netns, to: string, bytes: number, source?: string): Promise<boolean> {
  const as = source === undefined ? [] : ["-I", source];
  const words = ["-c1", "-W2", "-M", "do", ...as, "-s", `${bytes}`, to];
  const child = execFile("ip", ["netns", "exec", from.name, "ping", ...words]);
  const [code] = (await once(child, "close")) as [number];
  return code === 0;
}
