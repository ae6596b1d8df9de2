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
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { askNameServer, nameServerState } from "../../src/agent/dns/control.ts";
import { controlSocket } from "../../src/agent/dns/keeper.ts";
import { until } from "../../src/agent/fake/calls.ts";
import { type FakeNode, startFakeNode } from "../../src/agent/fake/node.ts";
import { present } from "../../src/base/error.ts";
import { programsOn } from "../../src/kernel/bpf/attach.ts";
import { missingBpf } from "../../src/kernel/features.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { NETLINK_NETFILTER, NetlinkSocket } from "../../src/kernel/netlink-socket.ts";
import { createNetns, deleteNetns, enterNetns, inNetns } from "../../src/kernel/netns.ts";
import { findProcess } from "../../src/kernel/process-id.ts";
import type { ServiceView } from "../../src/model/node-view.ts";
import type { CniReply } from "../../src/wire/cni/frame.ts";
import { decodeMessage } from "../../src/wire/dns/decode.ts";
import { encodeMessage } from "../../src/wire/dns/encode.ts";
import type { DnsMessage } from "../../src/wire/dns/message.ts";
import { decodeRulesGeneration, getRulesGeneration } from "../../src/wire/netlink/nftables.ts";

import { type LinkJson, linksJson } from "./kernel-scratch.ts";

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
    const nameServerCommand = [
      process.execPath,
      join(import.meta.dirname, "../../src/main.ts"),
      ...["names", "--address", "169.254.1.1", "--port", "53"],
    ];
    node = await startFakeNode({ openDriver: openKernelDriver, nameServerCommand });
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

  const withPath = missingBpf() ?? false;
  test("puts new pods on the fast path long before it looks again", {
    skip: withPath,
  }, async () => {
    const names = Array.from({ length: 10 }, (_, i) => `fresh-${i}`);
    node.showPods(names.map((name) => ({ name })));
    const start = performance.now();
    await Promise.all(names.map((name) => cni("ADD", `c-${name}`, name, freshNetns())));
    const links = () =>
      linksJson(made[0] ?? "").filter(({ ifname }) => /^hd[0-9a-f]{10}$/.test(ifname));
    const isOn = ({ ifindex: linkIndex }: LinkJson) =>
      programsOn({ linkIndex, direction: "ingress" }).length > 0;
    await until(async () => links().length === 10 && links().every(isOn));
    assert.ok(performance.now() - start < 20_000, "a look comes after 30 s");
    await Promise.all(names.map((name) => cni("DEL", `c-${name}`)));
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

  test("clients keep their endpoints over restarts, which change no rule in the kernel", async () => {
    const names = ["caller", "one", "two", "three"];
    node.showPods(names.map((name) => ({ name })));
    const namespaces = names.map(freshNetns);
    const [caller = "", ...servers] = namespaces;
    const addresses = await Promise.all(
      names.map((name, i) => added(cni("ADD", `c-${name}`, name, namespaces[i] ?? ""))),
    );
    const endpoints = addresses.slice(1).map((address) => ({ address, port: 8080 }));
    const service: ServiceView = {
      namespace: "shop",
      name: "sticky",
      clusterIp: "10.96.0.30",
      affinitySeconds: 600,
      ports: [{ name: "", protocol: "TCP", port: 80, endpoints }],
    };
    const pods = names.map((name, i) => ({ name, address: addresses[i] ?? "" }));
    node.showPods(pods, [service]);
    const inSync = () => until(async () => (await node.status()).inSync);
    const answering = servers.map((netns, i) => serve(netns, `server ${i}\n`));
    const ask = () => runIn(caller, "bash", ["-c", "cat < /dev/tcp/10.96.0.30/80"]);
    try {
      const kept = await ask();
      assert.match(kept, /^server \d/);
      for (let restart = 0; restart < 5; restart++) {
        const before = generation();
        await node.restart();
        await inSync();
        assert.equal(generation(), before, "no transaction");
        // Somebody else's transaction: the table is read again.
        execFileSync("nft", ["add table inet theirs; delete table inet theirs"]);
        await node.restart();
        await inSync();
        const numbered = missingBpf() === undefined ? 1 : 0;
        assert.equal(generation(), before + 1 + numbered, "theirs, and the rules' new number");
        for (let i = 0; i < 5; i++) assert.equal(await ask(), kept);
      }
    } finally {
      for (const server of answering) server.close();
      await Promise.all(names.map((name) => cni("DEL", `c-${name}`)));
    }
  });

  describe("with its name server", () => {
    let asking: string;
    let address: string;
    const pid = async () => (await nameServerState(controlSocket(node.options.runDir)))?.pid;

    before(async () => {
      asking = freshNetns();
      node.showPods([{ name: "asking" }]);
      address = await added(cni("ADD", "c-asking", "asking", asking));
      node.showPods([{ name: "asking", address }]);
      assert.equal((await ask(asking, nameOfPod(address))).responseCode, 0);
    });
    after(async () => {
      await cni("DEL", "c-asking");
    });

    test("answers every lookup while no agent runs, and while the next one starts", async () => {
      const before = await pid();
      const asked = askMany(asking, nameOfPod(address));
      await asked.started;
      await node.stop();
      await sleep(300); // nobody can be waited for: the point is that nobody is there
      await node.restart();
      assert.equal(await pid(), before, "the successor adopted it");
      await asked.stop();
      assert.deepEqual(await asked.unanswered, []);
    });

    test("answers every lookup while other versions' agents replace it, one after the other", async () => {
      const asked = askMany(asking, nameOfPod(address));
      await asked.started;
      for (const release of ["next", "the one after"]) {
        const before = await pid();
        await node.restart({ release });
        while (findProcess(before ?? 0) !== undefined) await sleep(5);
        assert.notEqual(await pid(), before);
      }
      await asked.stop();
      assert.deepEqual(await asked.unanswered, []);
      assert.equal((await ask(asking, nameOfPod(address))).answers.length, 1);
    });

    test("has one again, with the names of now, soon after it was killed", async () => {
      const before = present(await pid(), "pid of the name server");
      process.kill(before, "SIGKILL");
      assert.equal((await ask(asking, nameOfPod(address))).responseCode, 0);
      assert.notEqual(await pid(), before);
      node.showPods([
        { name: "asking", address },
        { name: "new", address: "10.244.0.77" },
      ]);
      while ((await ask(asking, nameOfPod("10.244.0.77"))).responseCode !== 0) await sleep(5);
    });

    test("counts what was asked", async () => {
      const answer = await askNameServer(controlSocket(node.options.runDir), "GET", "/metrics");
      assert.match(answer?.text ?? "", /^coredns_dns_requests_total\{type="A"\} [1-9]\d*$/m);
    });
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

  for (const [what, isTaken] of [
    ["has no path any more", false],
    ["is not at its path, but another's is", true],
  ] as const) {
    test(`adds pods although a dead one's namespace lives on and ${what}`, async () => {
      node.showPods([{ name: "gone" }, { name: "new" }]);
      const netns = freshNetns();
      await added(cni("ADD", "c-gone", "gone", netns));
      const alive = inNetns(netns, () => spawn("sleep", ["600"]));
      try {
        await node.stop();
        deleteNetns(netns);
        if (isTaken) createNetns(netns);
        await node.restart();
        await added(cni("ADD", "c-new", "new", freshNetns()));
        assert.equal(ours().links.length, 2);
        if (isTaken) assert.deepEqual(inNetns(netns, linkNames), ["lo"]);
      } finally {
        alive.kill();
      }
      for (const id of ["c-gone", "c-new"]) assert.equal((await cni("DEL", id)).exitCode, 0);
      assert.deepEqual(ours(), { links: [], routes: [] });
    });
  }

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

  test("goes on when a pod puts something else in its interface's place", async () => {
    node.showPods([{ name: "strange" }, { name: "new" }]);
    const netns = freshNetns();
    const address = await added(cni("ADD", "c-strange", "strange", netns));
    inNetns(netns, () => {
      execFileSync("ip", ["link", "delete", "eth0"]);
      execFileSync("ip", ["link", "add", "eth0", "type", "veth", "peer", "x"]);
    });
    await node.restart();
    await added(cni("ADD", "c-new", "new", freshNetns()));
    assert.deepEqual((await node.status()).inSync, true);
    const reply = await cni("CHECK", "c-strange", "strange", netns, address);
    assert.match(JSON.parse(reply.stdout).msg, /link hd\w+ is absent on the node/);
    for (const id of ["c-strange", "c-new"]) assert.equal((await cni("DEL", id)).exitCode, 0);
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
  const server = serve(to, "hello\n");
  try {
    return (await runIn(from, "bash", ["-c", `cat < /dev/tcp/${address}/8080`])) === "hello\n";
  } finally {
    server.close();
  }
}

/** Listens at 8080 in a pod's namespace when it returns; says `words` to each that comes. */
function serve(netns: string, words: string): Server {
  const server = createServer((socket) => socket.end(words));
  return inNetns(netns, () => server.listen(8080));
}

/** How many transactions the node's nftables have seen. */
function generation(): number {
  const socket = new NetlinkSocket(NETLINK_NETFILTER);
  try {
    return present(socket.get(getRulesGeneration(), decodeRulesGeneration), "generation");
  } finally {
    socket.close();
  }
}

function nameOfPod(address: string): string {
  return `${address.replaceAll(".", "-")}.shop.pod.cluster.local`;
}

function queryHex(name: string): string {
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
  return Buffer.from(query).toString("hex");
}

/** The answer that a pod gets over UDP, asking from its own namespace as resolvers do: until there is one. */
async function ask(from: string, name: string): Promise<DnsMessage> {
  const script = `
    const socket = require("node:dgram").createSocket("udp4");
    socket.on("message", (bytes) => { process.stdout.write(bytes.toString("hex")); process.exit(); });
    socket.on("error", () => {});
    const ask = () => socket.send(Buffer.from("${queryHex(name)}", "hex"));
    socket.connect(53, "169.254.1.1", () => { ask(); setInterval(ask, 100); });`;
  return decodeMessage(Buffer.from(await runIn(from, process.execPath, ["-e", script]), "hex"));
}

/** Asks each 2 ms, once each, from a socket of its own as resolvers do, and tells which were never answered. */
function askMany(from: string, name: string) {
  const script = `
    const { createSocket } = require("node:dgram");
    const query = Buffer.from("${queryHex(name)}", "hex");
    const waiting = new Set();
    let asked = 0;
    const timer = setInterval(() => {
      const number = asked++;
      const socket = createSocket("udp4");
      waiting.add(number);
      socket.on("error", () => {});
      socket.on("message", (bytes) => {
        if ((bytes[3] & 15) === 0) waiting.delete(number);
        socket.close();
        if (number === 0) process.stdout.write("started\\n");
      });
      socket.send(query, 53, "169.254.1.1");
    }, 2);
    process.stdin.on("end", () => {
      clearInterval(timer);
      const report = () => { process.stdout.write(JSON.stringify([...waiting]) + "\\n"); process.exit(); };
      setTimeout(report, 900); // sooner than a resolver asks again
    }).resume();`;
  const child = inNetns(from, () =>
    spawn(process.execPath, ["-e", script], {
      stdio: ["pipe", "pipe", "inherit"],
      timeout: 20_000,
    }),
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<string> => String((await lines.next()).value);
  const started = line();
  const unanswered = started.then(async () => JSON.parse(await line()) as number[]);
  unanswered.catch(() => undefined);
  return {
    started,
    unanswered,
    async stop() {
      child.stdin.end();
      await once(child, "close");
    },
  };
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

function linkNames(): readonly string[] {
  const lines = readFileSync("/proc/self/net/dev", "utf8").split("\n");
  return lines.flatMap((line) => /^ *(\S+):/.exec(line)?.[1] ?? []);
}

/** The kernel takes a namespace's links away after the namespace. */
async function linkGone(): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (ours().links.length > 0 && performance.now() < deadline)
    await new Promise((resolve) => setImmediate(resolve));
}
