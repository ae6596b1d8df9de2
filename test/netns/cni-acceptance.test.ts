/**
 * What container runtimes rely on, asked of the real executable on the running kernel: each environment and code, ADD
 * twice, DEL again and late, a hundred at once, GC, STATUS of a full pool, CHECK of each kind of damage, every version.
 *
 * An agent that is killed is in cni-killed.test.ts, long histories in cni-histories.test.ts, real runtimes in
 * test/interop.
 */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { deleteNetns, inNetns } from "../../src/kernel/netns.ts";
import {
  addressIn,
  type CniCall,
  type CniErrorJson,
  CniNode,
  type CniResultJson,
  run,
  skipWithoutExecutable,
} from "./cni-node.ts";

describe("the CNI executable", { skip: skipWithoutExecutable }, () => {
  let machine: CniNode;

  before(async () => {
    machine = await CniNode.start({ podCidr: "10.244.0.0/24" });
    const pods = Array.from({ length: 300 }, (_, i) => ({ name: `many-${i}` }));
    machine.node.showPods([{ name: "web" }, { name: "meshed", meshed: true }, ...pods]);
  });
  after(async () => machine[Symbol.asyncDispose]());

  test("answers each wrong call with the reference library's code, in the version that was asked for", async () => {
    const file = join(machine.node.options.runDir, "file");
    writeFileSync(file, "");
    // what is wrong, code, message
    const table: readonly (readonly [CniCall, number, RegExp])[] = [
      [{ command: "PUT" }, 4, /unknown CNI_COMMAND: PUT/],
      [
        { env: { CNI_CONTAINERID: undefined, CNI_IFNAME: "" } },
        4,
        /\[CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME\] missing/,
      ],
      [{ command: "CHECK", env: { CNI_NETNS: undefined } }, 4, /\[CNI_NETNS\] missing/],
      [{ command: "DEL", env: { CNI_PATH: undefined } }, 4, /\[CNI_PATH\] missing/],
      [{ command: "GC", env: { CNI_PATH: undefined } }, 4, /\[CNI_PATH\] missing/],
      [{ command: "STATUS", env: { CNI_PATH: undefined } }, 4, /\[CNI_PATH\] missing/],
      [{ id: "-a", netns: "/x" }, 4, /containerID/],
      [{ id: "a/b", netns: "/x" }, 4, /containerID/],
      [{ ifName: "..", netns: "/x" }, 4, /\. or \.\./],
      [{ ifName: "sixteen-letters-", netns: "/x" }, 4, /too long/],
      [{ ifName: "a:b", netns: "/x" }, 4, /contains \/ or :/],
      [{ netns: "/x", env: { CNI_ARGS: "nonsense" } }, 4, /KEY=VALUE/],
      [{ netns: "/x", env: { CNI_ARGS: "UNKNOWN=1" } }, 4, /unknown CNI_ARGS \[UNKNOWN\]/],
      [{ netns: "/x", stdin: "{" }, 6, /parse network configuration/],
      [{ netns: "/x", stdin: "[]" }, 6, /want a JSON object/],
      [{ netns: "/x", config: { name: "" } }, 7, /missing network name/],
      [{ netns: "/x", config: { name: "a b" } }, 7, /invalid characters found in network name/],
      [{ netns: "/x", config: { cniVersion: "9.9.9" } }, 1, /incompatible CNI versions/],
      [
        { command: "CHECK", netns: "/x", config: { cniVersion: "0.3.1" } },
        1,
        /does not allow CHECK/,
      ],
      [{ command: "GC", config: { cniVersion: "1.0.0" } }, 1, /does not allow GC/],
      [{ command: "STATUS", config: { cniVersion: "1.0.0" } }, 1, /does not allow STATUS/],
      [{ netns: "/nowhere" }, 8, /\/nowhere: it does not exist/],
      [{ netns: file }, 8, /it is no network namespace/],
      [{ netns: "/proc/self/ns/net" }, 8, /it is the host's own/],
      [{ netns: "/x", config: { ipam: { type: "host-local" } } }, 2, /ipam\.type="host-local"/],
      [
        { netns: "/x", config: { runtimeConfig: { portMappings: [{ hostPort: 0 }] } } },
        7,
        /hostPort: want a port/,
      ],
      [{ command: "CHECK", id: "nobody", netns: "/x" }, 3, /it was never added/],
    ];
    for (const [call, code, message] of table) {
      const error = await machine.refused(call);
      assert.equal(error.code, code, `${JSON.stringify(call)}: ${error.msg}`);
      assert.match(`${error.msg}: ${error.details}`, message);
    }
    const old = await machine.refused({ netns: "/nowhere", config: { cniVersion: "0.4.0" } });
    assert.equal(old.cniVersion, "0.4.0");
    assert.deepEqual((await machine.node.status()).attachments, []);
  });

  test("gives the result that each version has", async () => {
    const shapes: readonly (readonly [string, readonly string[], readonly string[]])[] = [
      // version, fields of the pod's interface, fields of an address
      ["0.3.0", ["mac", "name", "sandbox"], ["address", "gateway", "interface", "version"]],
      ["0.3.1", ["mac", "name", "sandbox"], ["address", "gateway", "interface", "version"]],
      ["0.4.0", ["mac", "name", "sandbox"], ["address", "gateway", "interface", "version"]],
      ["1.0.0", ["mac", "name", "sandbox"], ["address", "gateway", "interface"]],
      ["1.1.0", ["mac", "mtu", "name", "sandbox"], ["address", "gateway", "interface"]],
    ];
    for (const [cniVersion, ofInterface, ofAddress] of shapes) {
      const netns = machine.netns();
      const result = await machine.add({ netns, config: { cniVersion } });
      assert.equal(result.cniVersion, cniVersion);
      assert.deepEqual(Object.keys(result.interfaces[1] ?? {}).sort(), ofInterface);
      assert.equal(result.interfaces[1]?.sandbox, netns);
      assert.equal(result.interfaces[0]?.sandbox, undefined);
      assert.deepEqual(Object.keys(result.ips[0] ?? {}).sort(), ofAddress);
      assert.equal(result.ips[0]?.interface, 1);
      await machine.del("c1");
    }
    const version = await machine.call({ command: "VERSION", config: { cniVersion: "0.4.0" } });
    const { supportedVersions, cniVersion } = JSON.parse(version.stdout);
    assert.equal(cniVersion, "0.4.0");
    assert.equal(supportedVersions.at(-1), "1.1.0");
    const person = await machine.call({ env: { CNI_COMMAND: undefined } });
    assert.equal(person.exitCode, 0);
    assert.match(person.stderr, /versions supported: .*1\.1\.0/);
  });

  test("adds once: the second ADD fails and changes nothing", async () => {
    const netns = machine.netns();
    const before = await machine.add({ netns });
    const state = () => [
      run("ip", "-d", "route"),
      inNetns(netns, () => run("ip", "-br", "address")),
    ];
    const there = state();
    assert.equal((await machine.refused({ netns })).code, 100);
    assert.deepEqual(state(), there);
    assert.equal((await machine.call(checkOf(netns, before))).exitCode, 0);
    await machine.del("c1");
  });

  test("deletes again, late, and without what it made; never what another has by now", async () => {
    const netns = machine.netns();
    const first = await machine.add({ id: "first", netns });
    for (let i = 0; i < 3; i++) await machine.del("first", { netns });
    const wish = { runtimeConfig: { ips: [first.ips[0]?.address] } };
    const second = await machine.add({ id: "second", netns: machine.netns(), config: wish });
    assert.equal(addressIn(second), addressIn(first));
    await machine.del("first", { config: { prevResult: first } });
    assert.equal((await machine.node.status()).attachments.length, 1);

    const gone = machine.netns();
    await machine.add({ id: "gone", netns: gone });
    deleteNetns(gone);
    await machine.del("gone", { netns: gone });
    await machine.del("gone", {
      env: { CNI_NETNS: undefined, CNI_ARGS: "no=sense;" },
      config: { runtimeConfig: { portMappings: "no sense" } },
    });
    await machine.del("second");
    assert.deepEqual(await leftovers(), nothing);
  });

  test("adds a hundred at once, each with an address of its own", async () => {
    const netns = Array.from({ length: 100 }, () => machine.netns());
    const results = await Promise.all(
      netns.map((path, i) => machine.add({ id: `m${i}`, pod: `many-${i}`, netns: path })),
    );
    assert.equal(new Set(results.map(addressIn)).size, 100);
    await Promise.all(netns.map((_, i) => machine.del(`m${i}`)));
    assert.deepEqual(await leftovers(), nothing);
  });

  test("collects what the runtime no longer lists, of this network alone, and nothing without a list", async () => {
    for (const id of ["a", "b"]) await machine.add({ id, netns: machine.netns() });
    await machine.add({ id: "c", netns: machine.netns(), config: { name: "other" } });
    const there = async () =>
      (await machine.node.status()).attachments.map((each) => each.containerId).sort();
    const collect = async (config: object) => {
      const { exitCode, stdout } = await machine.call({ command: "GC", config });
      assert.deepEqual([exitCode, stdout], [0, ""]);
      return there();
    };
    assert.deepEqual(await collect({}), ["a", "b", "c"]);
    const kept = [
      { containerID: "a", ifname: "eth0" },
      { containerID: "c", ifname: "eth0" },
    ];
    assert.deepEqual(await collect({ "cni.dev/valid-attachments": kept }), ["a", "c"]);
    assert.deepEqual(await collect({ "cni.dev/attachments": [] }), ["c"]);
    await machine.del("c", { config: { name: "other" } });
    assert.deepEqual(await leftovers(), nothing);
  });

  // what is damaged, how, what CHECK says of it
  const damages: readonly (readonly [string, (found: Damaged) => void, RegExp])[] = [
    [
      "interface is gone",
      ({ netns }) => inNetns(netns, () => run("ip", "link", "delete", "eth0")),
      /eth0 does not exist/,
    ],
    [
      "interface is down",
      ({ netns }) => inNetns(netns, () => run("ip", "link", "set", "eth0", "down")),
      /eth0 is down/,
    ],
    [
      "address is another",
      ({ netns, address }) =>
        inNetns(netns, () => {
          run("ip", "address", "delete", `${address}/32`, "dev", "eth0");
          run("ip", "address", "add", "10.9.9.9/32", "dev", "eth0");
        }),
      /eth0 has 10\.9\.9\.9\/32, want/,
    ],
    [
      "default route is gone",
      ({ netns }) => inNetns(netns, () => run("ip", "route", "delete", "default")),
      /no default route/,
    ],
    [
      "node's route is gone",
      ({ address }) => run("ip", "route", "delete", `${address}/32`),
      /route to .* is absent on the node/,
    ],
    [
      "node's end is gone",
      ({ link }) => run("ip", "link", "delete", link),
      /link hd.* is absent on the node/,
    ],
    [
      "table is gone",
      () => run("nft", "delete", "table", "inet", "heddle"),
      /table inet heddle is absent/,
    ],
    [
      "rules are gone",
      () => run("nft", "flush", "chain", "inet", "heddle", "admission"),
      /chain admission has 0 rules, want/,
    ],
    [
      "admission of the pod is gone",
      ({ link, address }) =>
        run("nft", "delete", "element", "inet", "heddle", "attached", `{ "${link}" . ${address} }`),
      /element .* of attached is absent/,
    ],
    [
      "host port is gone",
      () => run("nft", "flush", "map", "inet", "heddle", "host-ports-ipv4"),
      /element tcp \. 8088 of host-ports-ipv4 is absent/,
    ],
  ];
  for (const [what, damage, message] of damages) {
    test(`finds by CHECK that the ${what}`, async () => {
      const netns = machine.netns();
      const config = { runtimeConfig: { portMappings: [{ hostPort: 8088, containerPort: 80 }] } };
      const result = await machine.add({ netns, config });
      assert.equal((await machine.call(checkOf(netns, result))).exitCode, 0);
      const link = result.interfaces[0]?.name ?? "";
      const damaged = () => {
        damage({ netns, link, address: addressIn(result) });
        return machine.call(checkOf(netns, result));
      };
      let { exitCode, stdout } = await damaged();
      // The agent's look each half minute may come between, and repair it.
      if (exitCode === 0) ({ exitCode, stdout } = await damaged());
      assert.equal(exitCode, 1, stdout);
      const error: CniErrorJson = JSON.parse(stdout);
      assert.equal(error.code, 101);
      assert.match(error.msg, message);
      await machine.del("c1");
      await machine.node.restart(); // its successor puts back what was damaged for all
      machine.node.showPods([{ name: "web" }, { name: "meshed", meshed: true }]);
    });
  }

  test("finds by CHECK that capture or the sidecar is gone", async () => {
    const netns = machine.netns();
    const call: CniCall = { id: "m", pod: "meshed", netns };
    const result = await machine.add(call);
    const check = { ...call, ...checkOf(netns, result), id: "m", pod: "meshed" };
    assert.equal((await machine.call(check)).exitCode, 0);
    inNetns(netns, () => run("nft", "flush", "ruleset"));
    assert.match(
      (await machine.refused(check)).msg,
      /in the pod, nftables table inet heddle is absent/,
    );
    await machine.del("m");
    assert.deepEqual(await leftovers(), nothing);
  });

  test("says by STATUS and ADD that the pool is full, and that the agent is away", async () => {
    const status = () => machine.call({ command: "STATUS" });
    assert.deepEqual([(await status()).exitCode, (await status()).stdout], [0, ""]);
    await machine.node.stop();
    const env = { HEDDLE_CNI_TIMEOUT_MS: "200" };
    const away = await machine.refused({ command: "STATUS", env });
    assert.equal(away.code, 50);
    assert.match(away.msg, /the Heddle agent does not answer/);
    assert.equal((await machine.refused({ netns: "/x", env })).code, 11);
    await machine.node.restart();
  });

  const nothing: Leftovers = { attachments: 0, inUse: 0, links: [], routes: [] };

  async function leftovers(): Promise<Leftovers> {
    const { attachments, addressesInUse } = await machine.node.status();
    return {
      attachments: attachments.length,
      inUse: addressesInUse,
      links: run("ip", "-br", "link").match(/hd[0-9a-f]{10}/g) ?? [],
      routes: run("ip", "route")
        .split("\n")
        .filter((line) => line.includes("dev hd")),
    };
  }
});

interface Leftovers {
  readonly attachments: number;
  readonly inUse: number;
  readonly links: readonly string[];
  readonly routes: readonly string[];
}

interface Damaged {
  readonly netns: string;
  readonly link: string;
  readonly address: string;
}

function checkOf(netns: string, prevResult: CniResultJson): CniCall {
  return { command: "CHECK", netns, config: { prevResult } };
}
