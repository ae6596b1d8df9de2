/**
 * An agent that is killed in the middle of ADDs, wherever that is: its successor and the runtime's DELs leave nothing,
 * and no address is ever two pods'.
 */

import assert from "node:assert/strict";
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { readStatus } from "../../src/agent/fake/node.ts";
import { createNetns, deleteNetns, inNetns } from "../../src/kernel/netns.ts";

const root = process.getuid?.() === 0;
const executable = join(import.meta.dirname, "../../build/heddle-cni");
const script = join(import.meta.dirname, "../../src/agent/fake/node-process.ts");
const skip = !root
  ? "needs root"
  : !existsSync(executable)
    ? "needs build/heddle-cni (npm run setup)"
    : false;
const pods = ["web-0", "web-1", "meshed-0", "web-2", "meshed-1"];

describe("an agent that is killed", { skip }, () => {
  const made: string[] = [];
  const freshNetns = (): string => {
    const path = `/run/netns/heddle-test-${process.pid}-k${made.length + 1}`;
    made.push(path);
    createNetns(path);
    inNetns(path, () => execFileSync("ip", ["link", "set", "lo", "up"]));
    return path;
  };
  const directory = mkdtempSync(join(tmpdir(), "heddle-killed-"));
  let host = "";
  let agent: ChildProcess;

  before(async () => {
    host = freshNetns();
    agent = await start();
  });
  after(async () => {
    const ended = once(agent, "exit");
    agent.kill("SIGTERM");
    await ended;
    for (const path of made) deleteNetns(path);
    rmSync(directory, { recursive: true, force: true });
  });

  // Each moment is another place in the middle; what is asserted holds wherever it was.
  for (const afterMs of [1, 4, 8, 15, 40, 150]) {
    test(`after ${afterMs} ms leaves nothing that its successor and DEL do not remove`, async () => {
      const namespaces = pods.map(freshNetns);
      const adding = pods.map((pod, i) => cni("ADD", pod, namespaces[i] ?? ""));
      await sleep(afterMs);
      const ended = once(agent, "exit");
      agent.kill("SIGKILL");
      await ended;
      const added = (await Promise.all(adding)).filter((address) => address !== undefined);
      assert.equal(new Set(added).size, added.length);

      agent = await start();
      const { attachments } = await readStatus(join(directory, "run/agent.sock"));
      const kept = attachments.map((each) => each.address);
      for (const address of added) assert.ok(kept.includes(address), `${address} was lost`);
      assert.equal(new Set(kept).size, kept.length);

      await Promise.all(pods.map((pod) => cni("DEL", pod, "")));
      await nothingLeft(namespaces);
    });
  }

  for (const command of ["ADD", "DEL"]) {
    test(`before any step of ${command} leaves nothing that its successor and DEL do not remove`, async () => {
      let died = 0;
      for (let step = 1; ; step++) {
        const netns = freshNetns();
        if (command === "DEL") assert.ok(await cni("ADD", "meshed-0", netns));
        await stop();
        agent = await start(step);
        const ended = once(agent, "exit");
        const answer = await cni(command, "meshed-0", netns, "may fail");
        const killed = answer === undefined;
        if (killed) await ended;
        if (!killed) await stop();
        agent = await start();
        await cni("DEL", "meshed-0", netns);
        await nothingLeft([netns]);
        if (!killed) break;
        died = step;
      }
      assert.ok(died >= 4, `${command} takes ${died} steps`);
    });
  }

  async function nothingLeft(namespaces: readonly string[]): Promise<void> {
    const status = await readStatus(join(directory, "run/agent.sock"));
    assert.deepEqual(status.attachments, []);
    assert.equal(status.addressesInUse, 0);
    assert.deepEqual(readdirSync(join(directory, "run/pods")), []);
    const ip = (netns: string, ...words: string[]): string =>
      execFileSync("ip", ["-n", netns.split("/").at(-1) ?? "", ...words], { encoding: "utf8" });
    assert.doesNotMatch(ip(host, "-br", "link"), /hd[0-9a-f]{10}/);
    assert.doesNotMatch(ip(host, "route"), /dev hd/);
    for (const netns of namespaces) {
      assert.equal(execFileSync("ip", ["netns", "pids", netns.split("/").at(-1) ?? ""]).length, 0);
      const rules = inNetns(netns, () => execFileSync("nft", ["list", "ruleset"]).length);
      assert.equal(rules, 0, "capture outlives DEL");
    }
  }

  async function stop(): Promise<void> {
    const ended = once(agent, "exit");
    if (agent.exitCode === null && agent.signalCode === null && agent.kill("SIGTERM")) await ended;
  }

  async function start(dieBefore?: number): Promise<ChildProcess> {
    const child = spawn(process.execPath, [script, host, directory, ...pods], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...(dieBefore && { HEDDLE_DIE_BEFORE: `${dieBefore}` }) },
    });
    await once(child.stdout, "data");
    return child;
  }

  /** The address that an ADD gave; undefined where the call failed. */
  function cni(
    command: string,
    pod: string,
    netns: string,
    mayFail?: "may fail",
  ): Promise<string | undefined> {
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
        if (command === "DEL" && mayFail === undefined) assert.equal(error, null, stdout);
        const answer = stdout === "" ? "" : JSON.parse(stdout).ips?.[0].address.split("/")[0];
        resolve(error === null ? answer : undefined);
      });
      child.stdin?.end(JSON.stringify({ cniVersion: "1.0.0", name: "pods" }));
    });
  }
});
