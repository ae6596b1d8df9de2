/** Limited pods, asked for as container runtimes do: what gets through is what was said, each way by itself. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { after, before, describe, test } from "node:test";
import { inNetns } from "../../src/kernel/netns.ts";
import { addressIn, CniNode, outsideAddress, run, skipWithoutExecutable } from "./cni-node.ts";

/** Of bytes at the rate that is wanted. */
const measuredSeconds = 1.5;
const mbit = 1_000_000;

describe("a pod's bandwidth", { skip: skipWithoutExecutable }, () => {
  const servers: Server[] = [];
  let machine: CniNode;

  before(async () => {
    machine = await CniNode.start();
    machine.node.showPods([{ name: "web" }]);
    await flood(machine.outside, 7000);
    inNetns(machine.outside, () => run("ip", "route", "add", "10.244.0.0/16", "via", "192.0.2.1"));
  });
  after(async () => {
    for (const server of servers) server.close();
    await machine[Symbol.asyncDispose]();
  });

  test("is what the runtime said, in each direction", async () => {
    const web = machine.netns();
    const bandwidth = { ingressRate: 16 * mbit, egressRate: 8 * mbit };
    const config = { runtimeConfig: { bandwidth } };
    const address = addressIn(await machine.add({ id: "web", netns: web, config }));
    await flood(web, 7001);
    await isNear(web, outsideAddress, 7000, 16 * mbit);
    await isNear(machine.outside, address, 7001, 8 * mbit);
    await machine.del("web");
  });

  test("is not limited in a direction that the runtime said nothing about", async () => {
    const web = machine.netns();
    const config = {
      runtimeConfig: { bandwidth: { IngressRate: 8 * mbit, IngressBurst: 0xffffffff } },
    };
    const address = addressIn(await machine.add({ id: "web", netns: web, config }));
    await flood(web, 7001);
    await isNear(web, outsideAddress, 7000, 8 * mbit);
    assert.ok((await rate(machine.outside, address, 7001, 80 * mbit)) > 24 * mbit);
    await machine.del("web");
  });

  test("is checked, kept by a successor, and set again where it was taken off the node's end", async () => {
    const web = machine.netns();
    const bandwidth = { ingressRate: 16 * mbit, egressRate: 8 * mbit };
    const config = { runtimeConfig: { bandwidth } };
    const prevResult = await machine.add({ id: "web", netns: web, config });
    const link = prevResult.interfaces[0]?.name ?? "";
    const check = { command: "CHECK", id: "web", netns: web, config: { prevResult } };
    assert.equal((await machine.call(check)).exitCode, 0);
    inNetns(web, () => run("tc", "qdisc", "del", "dev", "eth0", "root"));
    run("tc", "qdisc", "del", "dev", link, "root");
    const { code, msg } = await machine.refused(check);
    assert.equal(code, 101);
    assert.match(msg, /eth0 sends without limit, want 8000000 bit\/s/);
    assert.match(msg, new RegExp(`${link} has lost its limit of 16000000 bit/s`));
    await machine.node.restart();
    machine.node.showPods([{ name: "web" }]);
    const deadline = performance.now() + 20_000;
    while ((await machine.call(check)).exitCode !== 0) assert.ok(performance.now() < deadline);
    await machine.del("web");
  });

  /** A TCP server that sends zeros to whoever connects for as long as they listen. */
  async function flood(netns: string, port: number): Promise<void> {
    const block = Buffer.alloc(64 * 1024);
    const server = createServer((socket) => {
      const fill = () => {
        while (socket.write(block));
      };
      socket.on("drain", fill).on("error", () => socket.destroy());
      fill();
    });
    servers.push(server);
    inNetns(netns, () => {
      server.listen(port);
    });
    if (!server.listening) await once(server, "listening");
  }
});

/** Bits per second at which a client in `from` gets what should take a second and a half. */
async function rate(from: string, address: string, port: number, wanted: number): Promise<number> {
  const bytes = (wanted * measuredSeconds) / 8;
  const script = `exec head -c ${bytes} < /dev/tcp/${address}/${port} > /dev/null`;
  const since = performance.now();
  const child = inNetns(from, () => spawn("bash", ["-c", script], { stdio: "inherit" }));
  const [code] = await once(child, "close");
  assert.equal(code, 0);
  return (bytes * 8) / ((performance.now() - since) / 1_000);
}

/**
 * Above it only by the first burst. Below it by whatever the machine did meanwhile, too, but far from where a limit in
 * another unit, or twice the same, would be.
 */
async function isNear(from: string, address: string, port: number, wanted: number): Promise<void> {
  const found = await rate(from, address, port, wanted);
  const share = found / wanted;
  assert.ok(share > 0.2 && share < 1.3, `${Math.round(found)} bit/s, want about ${wanted}`);
}
