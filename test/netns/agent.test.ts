/**
 * One node with the running kernel and the real CNI executable: what a runtime and a pod see of the agent.
 *
 * The test's process moves into the node's namespace for good, as the agent of a machine is in the machine's. Objects
 * and views are stand-ins; sidecars only follow the protocol.
 */

import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type FakeNode, startFakeNode } from "../../src/agent/fake/node.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { createNetns, deleteNetns, enterNetns, inNetns } from "../../src/kernel/netns.ts";
import type { CniReply } from "../../src/wire/cni/frame.ts";
import { decodeMessage } from "../../src/wire/dns/decode.ts";
import { encodeMessage } from "../../src/wire/dns/encode.ts";
import type { DnsMessage } from "../../src/wire/dns/message.ts";

const root = process.getuid?.() === 0;
const executable = join(import.meta.dirname, "../../build/heddle-cni");
const skip = !root
  ? "needs root"
  : !existsSync(executable)
    ? "needs build/heddle-cni (npm run setup)"
    : false;

describe("an agent on the running kernel", { skip }, () => {
  const made: string[] = [];
  const freshNetns = (): string => {
    const path = `/run/netns/heddle-test-${process.pid}-${made.length + 1}`;
    made.push(path);
    createNetns(path);
    inNetns(path, () => execFileSync("ip", ["link", "set", "lo", "up"]));
    return path;
  };
  let node: FakeNode;

  before(async () => {
    enterNetns(freshNetns());
    node = await startFakeNode({ driver: openKernelDriver() });
  });
  after(async () => {
    await node[Symbol.asyncDispose]();
    for (const path of made) deleteNetns(path);
  });

  test("gives pods a network: they reach each other and the name server", async () => {
    node.showPods([{ name: "web" }, { name: "cart" }]);
    const [web, cart] = [freshNetns(), freshNetns()];
    const address = await added(cni("ADD", "c-web", "web", web));
    await added(cni("ADD", "c-cart", "cart", cart));
    assert.equal(await connects(cart, web, address), true);
    const answer = await ask(cart, "10-244-0-9.shop.pod.cluster.local");
    assert.equal(answer.responseCode, 3);
    assert.deepEqual((await cni("CHECK", "c-web", "web", web, address)).exitCode, 0);
    for (const id of ["c-web", "c-cart"]) assert.equal((await cni("DEL", id)).exitCode, 0);
    assert.deepEqual(ours(), { links: [], routes: [] });
  });

  test("puts capture into a meshed pod's namespace when its sidecar is ready", async () => {
    node.showPods([{ name: "meshed", meshed: true }]);
    const netns = freshNetns();
    await added(cni("ADD", "c-meshed", "meshed", netns));
    const rules = inNetns(netns, () =>
      execFileSync("nft", ["list", "ruleset"], { encoding: "utf8" }),
    );
    assert.match(rules, /redirect to :15001/);
    await cni("DEL", "c-meshed");
  });

  test("attaches fifty pods at once, each with its own address, and a successor keeps them", async () => {
    const names = Array.from({ length: 50 }, (_, i) => `many-${i}`);
    node.showPods(names.map((name) => ({ name })));
    const namespaces = names.map(freshNetns);
    const addresses = await Promise.all(
      names.map((name, i) => added(cni("ADD", `c-${name}`, name, namespaces[i] ?? ""))),
    );
    assert.equal(new Set(addresses).size, 50);
    await node.restart();
    node.showPods(names.map((name) => ({ name })));
    const [first = "", second = ""] = namespaces;
    assert.equal(await connects(second, first, addresses[0] ?? ""), true);
    await Promise.all(names.map((name) => cni("DEL", `c-${name}`)));
    assert.deepEqual(ours(), { links: [], routes: [] });
  });

  test("answers what a pod asks while no agent runs when the next one does", async () => {
    node.showPods([{ name: "asking" }]);
    const netns = freshNetns();
    await added(cni("ADD", "c-asking", "asking", netns));
    await node.stop();
    const asking = ask(netns, "10-244-0-9.shop.pod.cluster.local");
    await sleep(500);
    await node.restart();
    assert.equal((await asking).responseCode, 3);
    await cni("DEL", "c-asking");
  });

  test("releases what a deleted namespace had when it comes back", async () => {
    node.showPods([{ name: "gone" }]);
    const netns = freshNetns();
    await added(cni("ADD", "c-gone", "gone", netns));
    await node.stop();
    deleteNetns(netns);
    await linkGone();
    await node.restart();
    assert.deepEqual((await node.status()).attachments, []);
  });

  test("refuses an ADD whose interface is there already and leaves that one alone", async () => {
    node.showPods([{ name: "taken" }]);
    const netns = freshNetns();
    inNetns(netns, () => execFileSync("ip", ["link", "add", "eth0", "type", "veth", "peer", "x"]));
    const reply = await cni("ADD", "c-taken", "taken", netns);
    assert.equal(reply.exitCode, 1);
    assert.match(JSON.parse(reply.stdout).msg, /eth0/);
    inNetns(netns, () => execFileSync("ip", ["link", "show", "eth0"]));
    assert.deepEqual((await node.status()).attachments, []);
    assert.deepEqual(ours(), { links: [], routes: [] });
  });

  /** Runs the executable as a runtime does. */
  function cni(
    command: string,
    id: string,
    pod = "",
    netns = "",
    address?: string,
  ): Promise<CniReply> {
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: netns,
      CNI_IFNAME: "eth0",
      CNI_PATH: "/opt/cni/bin",
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${pod};K8S_POD_UID=uid-${pod}`,
      HEDDLE_CNI_SOCKET: node.cniSocket,
    };
    const prevResult = { ips: [{ address: `${address}/32` }] };
    const config = { cniVersion: "1.0.0", name: "pods", ...(address && { prevResult }) };
    return new Promise((resolve) => {
      const child = execFile(executable, [], { env }, (_, stdout) => {
        resolve({ exitCode: child.exitCode ?? 1, stdout });
      });
      child.stdin?.end(JSON.stringify(config));
    });
  }
});

async function added(reply: Promise<CniReply>): Promise<string> {
  const { exitCode, stdout } = await reply;
  assert.equal(exitCode, 0, stdout);
  return JSON.parse(stdout).ips[0].address.replace("/32", "");
}

/** Whether a TCP connection from one pod's namespace reaches a server in another's. */
async function connects(from: string, to: string, address: string): Promise<boolean> {
  const server = createServer((socket) => socket.end("hello\n"));
  inNetns(to, () => {
    server.listen(8080);
  });
  if (!server.listening) await once(server, "listening");
  try {
    return (await runIn(from, "bash", ["-c", `cat < /dev/tcp/${address}/8080`])) === "hello\n";
  } finally {
    server.close();
  }
}

/** The answer that a pod gets over UDP, asking from its own namespace as resolvers do: until there is one. */
async function ask(from: string, name: string): Promise<DnsMessage> {
  const query = encodeMessage({
    id: 7,
    isResponse: false,
    opcode: 0,
    authoritative: false,
    truncated: false,
    recursionDesired: true,
    recursionAvailable: false,
    responseCode: 0,
    questions: [{ name, type: 1, class: 1 }],
    answers: [],
    authorities: [],
    additionals: [],
  });
  const script = `
    const socket = require("node:dgram").createSocket("udp4");
    socket.on("message", (bytes) => { process.stdout.write(bytes.toString("hex")); process.exit(); });
    const ask = () => socket.send(Buffer.from("${Buffer.from(query).toString("hex")}", "hex"));
    socket.connect(53, "169.254.1.1", () => { ask(); setInterval(ask, 100); });`;
  return decodeMessage(Buffer.from(await runIn(from, process.execPath, ["-e", script]), "hex"));
}

function runIn(netns: string, file: string, args: readonly string[]): Promise<string> {
  const child = inNetns(netns, () => {
    return spawn(file, args, { stdio: ["ignore", "pipe", "inherit"], timeout: 5_000 });
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  return once(child, "close").then(() => output);
}

function ours(): { readonly links: readonly string[]; readonly routes: readonly string[] } {
  const links = readFileSync("/proc/self/net/dev", "utf8").match(/hd[0-9a-f]{10}/g) ?? [];
  const routes = execFileSync("ip", ["route", "show", "type", "unicast"], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes("dev hd"));
  return { links, routes };
}

/** The kernel takes a namespace's links away after the namespace. */
async function linkGone(): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (ours().links.length > 0 && performance.now() < deadline)
    await new Promise((resolve) => setImmediate(resolve));
}
