/** An agent on a node with ten thousand Services: whoever asks it while it starts or looks after itself has an answer soon. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { postTo, readStatus } from "../../src/agent/fake/node.ts";
import type { ServiceView } from "../../src/model/node-view.ts";
import { needsRoot, output, Scratch } from "./kernel-scratch.ts";

const script = join(import.meta.dirname, "../../src/agent/fake/node-process.ts");
const count = 10_000;
/** Of the start's work, whatever else the machine does: 0.03 to 0.08, and more than half where there are no turns. */
const longestShare = 0.2;

test("an agent answers while it brings ten thousand Services into the kernel, while its successor reads them, and while that looks after what others changed", {
  skip: needsRoot,
}, async (t) => {
  using scratch = new Scratch();
  const directory = mkdtempSync(join(tmpdir(), "heddle-start-"));
  scratch.defer(() => rmSync(directory, { recursive: true, force: true }));
  const view = join(directory, "view.json");
  writeFileSync(view, JSON.stringify({ pods: [], services: manyServices() }));
  const netns = scratch.netns();
  const socket = join(directory, "run/agent.sock");
  const start = () => {
    const agent = spawn(process.execPath, [script, netns, directory], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, HEDDLE_VIEW: view },
    });
    scratch.defer(() => agent.kill("SIGKILL"));
    return agent;
  };
  const seen = (who: string, answers: Answers) => t.diagnostic(`${who}: ${told(answers)}`);
  const check = (who: string, answers: Answers) => {
    seen(who, answers);
    const { workedMs, longestWorkMs } = answers;
    assert.ok(longestWorkMs / workedMs < longestShare, `${who}: ${told(answers)}`);
  };

  const first = start();
  check("the first", await askUntil(line(first), socket, first));
  const ended = once(first, "exit");
  first.kill("SIGTERM");
  await ended;
  const successor = start();
  check("its successor", await askUntil(line(successor), socket, successor));

  output(netns, "nft", "add table inet theirs; add chain inet theirs heddle");
  const untouched = await askUntil(postTo(socket, "/resync"), socket, successor);
  seen("a look after others' tables", untouched);
  output(netns, "nft", "add chain inet heddle theirs");
  const touched = await askUntil(postTo(socket, "/resync"), socket, successor);
  check("a look after ours", touched);
  assert.doesNotMatch(output(netns, "nft", "-t", "list table inet heddle"), /chain theirs/);
  assert.ok(untouched.workedMs < touched.workedMs / 2, "what others have of their own is not read");
});

test("an agent with hardly a Service answers while it reads twenty thousand rules of others", {
  skip: needsRoot,
}, async (t) => {
  using scratch = new Scratch();
  const directory = mkdtempSync(join(tmpdir(), "heddle-start-"));
  scratch.defer(() => rmSync(directory, { recursive: true, force: true }));
  const netns = scratch.netns();
  const rules = Array.from({ length: 20_000 }, (_, i) => `ip saddr 20.0.${i >> 8}.${i & 255} drop`);
  const theirs = join(directory, "theirs.nft");
  writeFileSync(
    theirs,
    `table ip theirs {\nchain block {\ntype filter hook forward priority 5;\n${rules.join("\n")}\n}\n}`,
  );
  output(netns, "nft", "-f", theirs);
  const agent = spawn(process.execPath, [script, netns, directory], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  scratch.defer(() => agent.kill("SIGKILL"));
  const answers = await askUntil(line(agent), join(directory, "run/agent.sock"), agent);
  t.diagnostic(told(answers));
  // 0.12 to 0.18: libnftables reads everybody's rules at once where a table is not there. Without turns half.
  assert.ok(answers.longestWorkMs / answers.workedMs < 0.3, told(answers));
});

interface Answers {
  readonly tookMs: number;
  readonly slowestMs: number;
  /** Of the processor's time: what others do on the machine, or keep the agent from, says nothing of it. */
  readonly workedMs: number;
  /** The most that it did between a question and its answer. */
  readonly longestWorkMs: number;
}

function told({ tookMs, slowestMs, workedMs, longestWorkMs }: Answers): string {
  return `ready after ${tookMs} ms, slowest answer ${slowestMs} ms; of work ${workedMs} and ${longestWorkMs} ms`;
}

/** What a process has had of processors. */
function workMs({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10; // in a hundredth of a second each
}

async function line({ stdout }: ChildProcess): Promise<void> {
  assert.ok(stdout !== null);
  await once(stdout, "data");
}

/** How long something took, and how long the agent left a question meanwhile. */
async function askUntil(
  done: Promise<void>,
  socket: string,
  agent: ChildProcess,
): Promise<Answers> {
  const start = performance.now();
  const before = workMs(agent);
  let isDone = false;
  let [slowestMs, longestWorkMs] = [0, 0];
  void done.then(() => {
    isDone = true;
  });
  while (!isDone) {
    const asked = performance.now();
    const worked = workMs(agent);
    const isAnswered = await readStatus(socket).then(
      () => true,
      () => false, // it does not listen yet
    );
    if (isAnswered) {
      slowestMs = Math.max(slowestMs, performance.now() - asked);
      longestWorkMs = Math.max(longestWorkMs, workMs(agent) - worked);
    }
    await sleep(5);
  }
  await done;
  return {
    tookMs: Math.round(performance.now() - start),
    slowestMs: Math.round(slowestMs),
    workedMs: workMs(agent) - before,
    longestWorkMs,
  };
}

function manyServices(): readonly ServiceView[] {
  return Array.from({ length: count }, (_, index) => {
    const at = `${index >> 8}.${index & 255}`;
    const endpoints = [1, 2, 3, 4].map((n) => ({
      address: `10.24${n}.${at}`,
      port: 8080,
      node: `node-${n}`,
    }));
    return {
      namespace: "shop",
      name: `service-${String(index).padStart(5, "0")}`,
      clusterIp: `10.96.${at}`,
      ports: [{ name: "http", protocol: "TCP", port: 80, endpoints }],
    };
  });
}
