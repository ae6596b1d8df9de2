/** The name servers that agents keep, as processes on loopback: what becomes of one that another is to replace. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ownPort } from "../../../test/own-port.ts";
import { present } from "../../base/error.ts";
import { createLog } from "../../base/log.ts";
import { findProcess, isAlive, type ProcessId, signalProcess } from "../../kernel/process-id.ts";
import type { NodeView } from "../../model/node-view.ts";
import { queryServer } from "../../rpc/dns-query.ts";
import { Latest } from "../latest.ts";
import { type NameServerState, nameServerState } from "./control.ts";
import { controlSocket, keepNameServer } from "./keeper.ts";
import { view } from "./testdata/names.ts";

describe("a name server that an agent of another version left", () => {
  test("stays while the agent has no names for the one that replaces it", async () => {
    await using bench = new Bench();
    const port = await ownPort();
    const old = await bench.left(port);
    rmSync(bench.output);
    const views = new Latest<NodeView>();
    bench.keep("2", port, views);
    for (let i = 0; i < 50; i++) await nameServerState(bench.socket);
    assert.equal(existsSync(bench.output), false, "another was started");
    assert.equal(await answersAt(port), 1);
    views.set(view);
    while (isAlive(old)) await sleep(5);
    assert.equal(await answersAt(port), 1);
  });

  test("goes, though the first that was to replace it died", async () => {
    await using bench = new Bench();
    const old = await bench.left(await ownPort());
    const next = await ownPort();
    const taken = createServer().listen(next, "127.0.0.1").unref();
    await once(taken, "listening");
    bench.keep("2", next, knowing());
    const isNext = ({ tag }: NameServerState) => tag.startsWith("2");
    const first = processOf(await bench.stateWhere(isNext));
    signalProcess(first, "SIGKILL");
    await bench.stateWhere((state) => isNext(state) && state.pid !== first.pid);
    assert.equal(isAlive(old), true);
    taken.close();
    while (isAlive(old)) await sleep(5);
    assert.equal(await answersAt(next), 1);
  });
});

/** A folder, and agents' keepers that work in it one after the other. */
class Bench implements AsyncDisposable {
  readonly #runDir = mkdtempSync(join(tmpdir(), "heddle-keeper-"));
  readonly socket: string = controlSocket(this.#runDir);
  /** What name servers write, opened by whoever starts one. */
  readonly output: string = join(this.#runDir, "names.log");
  readonly #seen: ProcessId[] = [];
  readonly #ends: (() => Promise<void>)[] = [];

  /** What an agent does until it is ended; it leaves the name server running. */
  keep(release: string, port: number, views: Latest<NodeView>): () => Promise<void> {
    const ended = new AbortController();
    const running = keepNameServer(
      { command: [...command, "--port", `${port}`], release, runDir: this.#runDir },
      { views, clock, random: Math.random, log: createLog(() => undefined, Date.now) },
      ended.signal,
    );
    const end = () => {
      ended.abort();
      return running;
    };
    this.#ends.push(end);
    return end;
  }

  /** One that knows the names of `view`, and whose agent is gone. */
  async left(port: number): Promise<ProcessId> {
    const end = this.keep("1", port, knowing());
    const state = await this.stateWhere(({ isListening, version }) => isListening && version > 0);
    await end();
    return processOf(state);
  }

  async stateWhere(wanted: (state: NameServerState) => boolean): Promise<NameServerState> {
    for (;;) {
      const state = await nameServerState(this.socket);
      const process = findProcess(state?.pid ?? 0);
      if (process !== undefined) this.#seen.push(process);
      if (state !== undefined && wanted(state)) return state;
      await sleep(5);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stateWhere(() => true);
    for (const end of this.#ends) await end();
    for (const process of this.#seen) signalProcess(process, "SIGKILL");
    rmSync(this.#runDir, { recursive: true });
  }
}

const main = join(import.meta.dirname, "../../main.ts");
const command = [process.execPath, main, "names", "--address", "127.0.0.1"];
const clock = {
  now: Date.now,
  sleep: (ms: number, signal?: AbortSignal) => sleep(ms, undefined, signal && { signal }),
};

function knowing(): Latest<NodeView> {
  const views = new Latest<NodeView>();
  views.set(view);
  return views;
}

function processOf({ pid }: NameServerState): ProcessId {
  return present(findProcess(pid), "its process");
}

async function answersAt(port: number): Promise<number> {
  const question = { name: "cart.shop.svc.cluster.local", type: 1, class: 1 };
  return (await queryServer({ address: "127.0.0.1", port }, question, 10_000)).answers.length;
}
