/** An agent that starts on a node with ten thousand Services: whoever asks it meanwhile has an answer soon. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { readStatus } from "../../src/agent/fake/node.ts";
import type { ServiceView } from "../../src/model/node-view.ts";
import { needsRoot, Scratch } from "./kernel-scratch.ts";

const script = join(import.meta.dirname, "../../src/agent/fake/node-process.ts");
const count = 10_000;
/** Of the start's time, whatever else the machine does: 0.03 to 0.08, and more than half where there are no turns. */
const longestShare = 0.2;

test("an agent answers while it brings ten thousand Services into the kernel, and while its successor reads them", {
  skip: needsRoot,
}, async (t) => {
  using scratch = new Scratch();
  const directory = mkdtempSync(join(tmpdir(), "heddle-start-"));
  scratch.defer(() => rmSync(directory, { recursive: true, force: true }));
  const view = join(directory, "view.json");
  writeFileSync(view, JSON.stringify({ pods: [], services: manyServices() }));
  const netns = scratch.netns();
  for (const who of ["the first", "its successor"]) {
    const agent = spawn(process.execPath, [script, netns, directory], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, HEDDLE_VIEW: view },
    });
    const { tookMs, slowestMs } = await askUntilReady(agent, directory);
    t.diagnostic(`${who}: ready after ${tookMs} ms, slowest answer ${slowestMs} ms`);
    const ended = once(agent, "exit");
    agent.kill("SIGTERM");
    await ended;
    const share = slowestMs / tookMs;
    assert.ok(share < longestShare, `${who} left a question for ${slowestMs} of ${tookMs} ms`);
  }
});

async function askUntilReady(
  agent: ChildProcess,
  directory: string,
): Promise<{ readonly tookMs: number; readonly slowestMs: number }> {
  const start = performance.now();
  let isReady = false;
  let slowestMs = 0;
  assert.ok(agent.stdout !== null);
  agent.stdout.once("data", () => {
    isReady = true;
  });
  while (!isReady) {
    const asked = performance.now();
    const isAnswered = await readStatus(join(directory, "run/agent.sock")).then(
      () => true,
      () => false, // it does not listen yet
    );
    if (isAnswered) slowestMs = Math.max(slowestMs, performance.now() - asked);
    await sleep(5);
  }
  return { tookMs: Math.round(performance.now() - start), slowestMs: Math.round(slowestMs) };
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
