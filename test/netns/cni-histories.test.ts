/**
 * Random histories of a node against a model: containers come, go, die without a DEL; the agent is killed at rest and in
 * the middle of calls; the machine is rebooted. Whatever came before, the agent has exactly the containers that the
 * model has, no two share an address, and in the end nothing is left in the kernel, on disk or in the pool.
 *
 * HEDDLE_CYCLES and HEDDLE_SEED make it longer and another; a thousand cycles are scripts/soak-cni.sh.
 */

import assert from "node:assert/strict";
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { readStatus } from "../../src/agent/fake/node.ts";
import { createNetns, deleteNetns, inNetns } from "../../src/kernel/netns.ts";
import { executable, run, skipWithoutExecutable } from "./cni-node.ts";

const script = join(import.meta.dirname, "../../src/agent/fake/node-process.ts");
const cycles = Number(process.env["HEDDLE_CYCLES"] ?? 20);
const seed = Number(process.env["HEDDLE_SEED"] ?? 1);
const pods = Array.from({ length: 8 }, (_, i) => `${i === 0 ? "meshed" : "web"}-${i}`);

interface Running {
  readonly netns: string;
  readonly address: string;
}

describe("a node's history", { skip: skipWithoutExecutable }, () => {
  const random = randomOf(seed);
  const directory = mkdtempSync(join(tmpdir(), "heddle-history-"));
  const host = `/run/netns/heddle-test-${process.pid}-h`;
  const model = new Map<string, Running>();
  let namespaces = 0;
  let cycle = 0;
  let lastReply = "";
  let agent: ChildProcess;

  before(async () => {
    createNetns(host);
    inNetns(host, () => run("ip", "link", "set", "lo", "up"));
    await start();
  });
  after(async () => {
    await kill("SIGTERM");
    for (const { netns } of model.values()) deleteNetns(netns);
    deleteNetns(host);
    rmSync(directory, { recursive: true, force: true });
  });

  test(`of ${cycles} random events, seed ${seed}, leaves nothing and mixes up nothing`, async () => {
    const events = [add, add, add, remove, remove, die, killAtRest, killDuringAdd, reboot];
    for (cycle = 0; cycle < cycles; cycle++) {
      const event = events[Math.floor(random() * events.length)] ?? add;
      await event();
      const addresses = [...model.values()].map(({ address }) => address);
      assert.equal(
        new Set(addresses).size,
        addresses.length,
        `two pods with one address: ${addresses}`,
      );
    }
    await killAtRest();
    for (const pod of [...model.keys()]) await removePod(pod);
    await nothingLeft();
  });

  async function add(): Promise<void> {
    const pod = pick(pods.filter((name) => !model.has(name)));
    if (pod === undefined) return;
    const netns = freshNetns();
    const address = await cni("ADD", pod, netns);
    assert.ok(address !== undefined, `cycle ${cycle}: ADD of ${pod}: ${lastReply}`);
    model.set(pod, { netns, address });
    talkTo(address);
  }

  async function remove(): Promise<void> {
    const pod = pick([...model.keys()]);
    if (pod !== undefined) await removePod(pod);
  }

  async function removePod(pod: string): Promise<void> {
    const netns = model.get(pod)?.netns ?? "";
    assert.equal(await cni("DEL", pod, random() < 0.5 ? netns : ""), "");
    model.delete(pod);
    deleteNetns(netns);
  }

  /** Without a DEL. A meshed pod's namespace lives on with its sidecar for a while, which is another test's. */
  async function die(): Promise<void> {
    const pod = pick([...model.keys()].filter((name) => !name.startsWith("meshed")));
    if (pod === undefined) return;
    deleteNetns(model.get(pod)?.netns ?? "");
    model.delete(pod);
    if (random() < 0.5) assert.equal(await cni("DEL", pod, ""), "");
  }

  async function killAtRest(): Promise<void> {
    await kill("SIGKILL");
    await start();
    await agrees();
  }

  async function killDuringAdd(): Promise<void> {
    const pod = pick(pods.filter((name) => !model.has(name)));
    if (pod === undefined) return;
    const netns = freshNetns();
    const adding = cni("ADD", pod, netns);
    await sleep(random() * 60);
    await kill("SIGKILL");
    const address = await adding;
    await start();
    // A runtime calls DEL for an ADD that failed.
    if (address === undefined) {
      assert.equal(await cni("DEL", pod, netns), "");
      deleteNetns(netns);
    } else model.set(pod, { netns, address });
    await agrees();
  }

  /** Namespaces, links and rules go, records stay and are those of another boot. */
  async function reboot(): Promise<void> {
    const { attachments } = await readStatus(join(directory, "run/agent.sock"));
    await kill("SIGKILL");
    for (const { sidecar } of attachments) {
      if (sidecar?.kind === "ready") process.kill(sidecar.pid, "SIGKILL");
    }
    for (const { netns } of model.values()) deleteNetns(netns);
    model.clear();
    inNetns(host, () => {
      run("nft", "flush", "ruleset");
      while (links().length > 0) links().forEach(deleteLink);
      run("conntrack", "-F");
    });
    const folder = join(directory, "state/attachments");
    for (const file of readdirSync(folder)) {
      const record = JSON.parse(readFileSync(join(folder, file), "utf8"));
      writeFileSync(join(folder, file), JSON.stringify({ ...record, bootId: "another" }));
    }
    await start();
    await agrees();
  }

  /** The agent has the model's containers, with their addresses, and no other. A namespace's links go a moment after it. */
  async function agrees(): Promise<void> {
    const wanted = [...model.values()].map(({ address }) => address).sort();
    const deadline = performance.now() + 40_000;
    for (;;) {
      const { attachments, addressesInUse } = await readStatus(join(directory, "run/agent.sock"));
      const found = attachments.map((each) => each.address).sort();
      const same = found.join() === wanted.join() && addressesInUse === wanted.length;
      if (same && inNetns(host, links).length === wanted.length) return;
      assert.ok(performance.now() < deadline, `agent has ${found}, model has ${wanted}`);
      await sleep(50);
    }
  }

  async function nothingLeft(): Promise<void> {
    await agrees();
    inNetns(host, () => {
      assert.doesNotMatch(run("ip", "route"), /dev hd/);
      assert.doesNotMatch(run("nft", "list", "table", "inet", "heddle"), /hd[0-9a-f]{10}/);
      assert.doesNotMatch(run("conntrack", "-L"), /10\.244\./);
    });
    assert.deepEqual(readdirSync(join(directory, "state/attachments")), []);
    assert.deepEqual(readdirSync(join(directory, "run/pods")), []);
  }

  /** From the node, so that a connection is tracked. */
  function talkTo(address: string): void {
    inNetns(host, () => execFileSync("bash", ["-c", `echo >/dev/udp/${address}/9`]));
  }

  function links(): readonly string[] {
    return run("ip", "-br", "link").match(/hd[0-9a-f]{10}/g) ?? [];
  }

  /** Or finds that it went with its pod's namespace. */
  function deleteLink(name: string): void {
    try {
      run("ip", "link", "delete", name);
    } catch {}
  }

  function freshNetns(): string {
    const path = `${host}${++namespaces}`;
    createNetns(path);
    return path;
  }

  function pick(names: readonly string[]): string | undefined {
    return names[Math.floor(random() * names.length)];
  }

  async function start(): Promise<void> {
    agent = spawn(process.execPath, [script, host, directory, ...pods], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    if (agent.stdout !== null) await once(agent.stdout, "data");
  }

  async function kill(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    if (agent.exitCode !== null || agent.signalCode !== null) return;
    const ended = once(agent, "exit");
    agent.kill(signal);
    await ended;
  }

  /** What an ADD gave, empty for a DEL; undefined where the call failed. */
  function cni(command: string, pod: string, netns: string): Promise<string | undefined> {
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: `c-${pod}`,
      CNI_NETNS: netns,
      CNI_IFNAME: "eth0",
      CNI_PATH: "/opt/cni/bin",
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${pod}`,
      HEDDLE_CNI_SOCKET: join(directory, "run/cni.sock"),
    };
    return new Promise((resolve) => {
      const child = execFile(executable, [], { env }, (error, stdout) => {
        lastReply = stdout;
        const address = stdout === "" ? "" : JSON.parse(stdout).ips?.[0].address.split("/")[0];
        resolve(error === null ? address : undefined);
      });
      child.stdin?.end(JSON.stringify({ cniVersion: "1.0.0", name: "pods" }));
    });
  }
});

/** A linear congruential generator: the same events for the same seed. */
function randomOf(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
