/** The name server that an agent keeps: pods are answered whatever becomes of the agent, and by the names of now. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { askNameServer, nameServerState } from "../../src/agent/dns/control.ts";
import { controlSocket } from "../../src/agent/dns/keeper.ts";
import { present } from "../../src/base/error.ts";
import { findProcess } from "../../src/kernel/process-id.ts";
import { AgentNode, added, skipAgentNode } from "./agent-node.ts";
import { ask, askMany, nameOfPod } from "./pod-lookups.ts";

describe("an agent with its name server", { skip: skipAgentNode }, () => {
  let here: AgentNode;
  let asking: string;
  let address: string;
  const pid = async () => (await nameServerState(controlSocket(here.node.options.runDir)))?.pid;

  before(async () => {
    here = await AgentNode.start();
    asking = here.netns();
    here.node.showPods([{ name: "asking" }]);
    address = await added(here.cni("ADD", "c-asking", "asking", asking));
    here.node.showPods([{ name: "asking", address }]);
    assert.equal((await ask(asking, nameOfPod(address))).responseCode, 0);
  });
  after(async () => {
    await here.cni("DEL", "c-asking");
    await here[Symbol.asyncDispose]();
  });

  test("answers every lookup while no agent runs, and while the next one starts", async () => {
    const before = await pid();
    const asked = askMany(asking, nameOfPod(address));
    await asked.started;
    await here.node.stop();
    await sleep(300); // nobody can be waited for: the point is that nobody is there
    await here.node.restart();
    assert.equal(await pid(), before, "the successor adopted it");
    await asked.stop();
    assert.deepEqual(await asked.unanswered, []);
  });

  test("answers every lookup while other versions' agents replace it, one after the other", async () => {
    const asked = askMany(asking, nameOfPod(address));
    await asked.started;
    for (const release of ["next", "the one after"]) {
      const before = await pid();
      await here.node.restart({ release });
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
    here.node.showPods([
      { name: "asking", address },
      { name: "new", address: "10.244.0.77" },
    ]);
    while ((await ask(asking, nameOfPod("10.244.0.77"))).responseCode !== 0) await sleep(5);
  });

  test("counts what was asked", async () => {
    const answer = await askNameServer(controlSocket(here.node.options.runDir), "GET", "/metrics");
    assert.match(answer?.text ?? "", /^coredns_dns_requests_total\{type="A"\} [1-9]\d*$/m);
  });
});
