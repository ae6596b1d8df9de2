/**
 * The reference library's own client, cnitool, on Heddle's network, alone and in lists with the reference plugins before
 * and after.
 */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Machine, type Output, skipWithout } from "./machine.ts";

const cnitool = join(import.meta.dirname, "../../build/cnitool");
const skip = skipWithout(cnitool, "/usr/lib/cni/portmap");

describe("cnitool on Heddle's network", { skip }, () => {
  let machine: Machine;

  before(async () => {
    machine = await Machine.start();
    await machine.must("sh", ["-c", "cp /usr/lib/cni/* /opt/cni/bin/"]);
  });
  after(async () => machine[Symbol.asyncDispose]());

  test("adds, checks and deletes", async () => {
    const netns = await namespace("alone");
    const result = JSON.parse(await must("add", "heddle", netns));
    assert.match(result.ips[0].address, /^10\./);
    await must("check", "heddle", netns);
    await machine.must("ip", ["-n", "alone", "link", "set", "eth0", "down"]);
    assert.match((await tool("check", "heddle", netns)).stderr, /eth0 is down/);
    await must("del", "heddle", netns);
    await must("del", "heddle", netns);
    await nothingLeft();
  });

  const ours = { type: "heddle-cni", heddleSocket: "/run/d/run/cni.sock" };
  const others = [
    { type: "tuning", sysctl: { "net.core.somaxconn": "777" } },
    { type: "portmap", capabilities: { portMappings: true }, snat: true },
    { type: "bandwidth", capabilities: { bandwidth: true } },
  ];
  const capabilities = {
    portMappings: [{ hostPort: 8081, containerPort: 80, protocol: "tcp" }],
    bandwidth: { ingressRate: 8e6, ingressBurst: 8e6, egressRate: 8e6, egressBurst: 8e6 },
  };

  test("chains tuning, portmap and bandwidth after Heddle, and they do their part", async () => {
    network("after", [ours, ...others]);
    const netns = await namespace("after");
    const result = JSON.parse(await must("add", "after", netns, capabilities));
    assert.equal(await inside("after", "cat", "/proc/sys/net/core/somaxconn"), "777");
    const link = result.interfaces[0].name;
    assert.match(await machine.must("tc", ["qdisc", "show", "dev", link]), /tbf/);
    machine.start(
      "ip",
      ["netns", "exec", "after", "busybox", "nc", "-ll", "-p", "80", "-e", "echo", "hello"],
      "/run/d/nc.log",
    );
    // The pod's sidecar waits for a silent client before it takes the server for one that speaks first.
    const ask = ["-c", "timeout 15 cat </dev/tcp/127.0.0.1/8081"];
    await machine.until(
      "portmap's port",
      async () => (await machine.run("bash", ask)).stdout === "hello\n",
    );
    await must("del", "after", netns, capabilities);
    await nothingLeft();
  });

  test("chains Heddle after plugins that ask for nothing of it, and its result has theirs in it", async () => {
    network("before", [{ type: "loopback" }, ...others, ours]);
    const netns = await namespace("before");
    const result = JSON.parse(await must("add", "before", netns));
    assert.deepEqual(
      result.interfaces.map(({ name }: { name: string }) => name.slice(0, 2)),
      ["lo", "hd", "et"],
    );
    assert.equal(result.ips.at(-1).interface, 2);
    await must("del", "before", netns);
    await nothingLeft();
  });

  // Of Debian's 1.1.1, CHECK of portmap wants IPv6 rules that its ADD did not make, and that of bandwidth crashes.
  test("checks a list with another plugin in it that changes the hardware address", async () => {
    network("tuned", [ours, { type: "tuning", mac: "02:00:00:00:00:98" }]);
    const netns = await namespace("tuned");
    await must("add", "tuned", netns);
    await must("check", "tuned", netns);
    await must("del", "tuned", netns);
    await nothingLeft();
  });

  test("publishes ports and limits bandwidth without other plugins", async () => {
    const netns = await namespace("both");
    await must("add", "heddle", netns, { ...capabilities, mac: "02:00:00:00:00:99" });
    assert.match(
      await machine.must("ip", ["-n", "both", "link", "show", "eth0"]),
      /02:00:00:00:00:99/,
    );
    assert.match(
      await machine.must("tc", ["-n", "both", "qdisc", "show", "dev", "eth0"]),
      /tbf.*8Mbit/,
    );
    await must("check", "heddle", netns, capabilities);
    await must("del", "heddle", netns, capabilities);
    await nothingLeft();
  });

  async function namespace(name: string): Promise<string> {
    await machine.must("ip", ["netns", "add", name]);
    return `/run/netns/${name}`;
  }

  function network(name: string, plugins: readonly object[]): void {
    const list = JSON.stringify({ cniVersion: "1.0.0", name, plugins });
    writeFileSync(machine.outside(`/etc/cni/net.d/20-${name}.conflist`), list);
  }

  function tool(
    verb: string,
    net: string,
    netns: string,
    capabilities: object = {},
  ): Promise<Output> {
    return machine.run(cnitool, [verb, net, netns], {
      NETCONFPATH: "/etc/cni/net.d",
      CNI_PATH: "/opt/cni/bin",
      CAP_ARGS: JSON.stringify(capabilities),
    });
  }

  async function must(
    verb: string,
    net: string,
    netns: string,
    capabilities?: object,
  ): Promise<string> {
    const { code, stdout, stderr } = await tool(verb, net, netns, capabilities);
    assert.equal(code, 0, `cnitool ${verb} ${net}: ${stdout}${stderr}`);
    return stdout;
  }

  function inside(name: string, ...words: readonly string[]): Promise<string> {
    return machine.must("ip", ["netns", "exec", name, ...words]);
  }

  async function nothingLeft(): Promise<void> {
    const nothing = JSON.stringify({ links: [], attachments: [], addressesInUse: 0 });
    await machine.until("nothing left", async () => (await machine.leftovers()) === nothing);
    const links = await machine.must("ip", ["-br", "link"]);
    const names = links.split("\n").map((line) => line.split(" ")[0]);
    assert.deepEqual(names.sort(), ["hdvxlan", "lo"]);
  }
});
