/** Limited pods, asked for as container runtimes do: what gets through is what was said, each way by itself. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { after, before, describe, test } from "node:test";
import { inNetns } from "../../src/kernel/netns.ts";
import { addressIn, CniNode, outsideAddress, run, skipWithoutExecutable } from "./cni-node.ts";

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
    near(await rate(web, outsideAddress, 7000), 16 * mbit);
    near(await rate(machine.outside, address, 7001), 8 * mbit);
    await machine.del("web");
  });

  test("is not limited in a direction that the runtime said nothing about", async () => {
    const web = machine.netns();
    const config = {
      runtimeConfig: { bandwidth: { IngressRate: 8 * mbit, IngressBurst: 0xffffffff } },
    };
    const address = addressIn(await machine.add({ id: "web", netns: web, config }));
    await flood(web, 7001);
    near(await rate(web, outsideAddress, 7000), 8 * mbit);
    assert.ok((await rate(machine.outside, address, 7001)) > 80 * mbit);
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
    const deadline = performance.now() + 5_000;
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

/** Bits per second that a client in `from` gets of a flood. */
async function rate(from: string, address: string, port: number): Promise<number> {
  const script = `timeout ${measuredSeconds} cat < /dev/tcp/${address}/${port} | wc -c`;
  const child = inNetns(from, () =>
    spawn("bash", ["-c", script], { stdio: ["ignore", "pipe", "inherit"] }),
  );
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  await once(child, "close");
  return (Number(output) * 8) / measuredSeconds;
}

/** Above it only by the first burst, below it only by TCP's start and headers. */
function near(found: number, wanted: number): void {
  const share = found / wanted;
  assert.ok(share > 0.7 && share < 1.2, `${Math.round(found)} bit/s, want about ${wanted}`);
}
