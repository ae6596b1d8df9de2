/** After `lab down` the machine is as it was, also when the lab was killed instead of ended. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { skipWithoutRoot, startLab } from "../lab.ts";

describe("a lab that has ended", { skip: skipWithoutRoot }, () => {
  test("leaves no link, route, table, namespace, mount, process or file", async () => {
    const before = machine();
    const lab = await startLab();
    assert.notDeepEqual(machine().namespaces, before.namespaces, "the lab is there");
    await lab.down();
    assert.deepEqual(machine(), before);
    assert.equal(existsSync(join(lab.base, lab.name)), false);
    await lab[Symbol.asyncDispose]();
  });

  test("leaves nothing either when it was killed and `lab down` came later", async () => {
    const before = machine();
    const lab = await startLab();
    process.kill((await lab.status()).supervisor, "SIGKILL");
    await lab.until("the supervisor is gone", async () => (await lab.run("status")).code !== 0);
    await lab.must("down");
    assert.deepEqual(machine(), before);
    await lab[Symbol.asyncDispose]();
  });
});

interface Machine {
  readonly links: readonly string[];
  readonly addresses: readonly string[];
  readonly routes: readonly string[];
  readonly tables: readonly string[];
  readonly namespaces: readonly string[];
  readonly mounts: readonly string[];
  readonly processes: readonly string[];
}

/** Everything of the machine that a lab could leave something in. */
function machine(): Machine {
  const lines = (...words: [string, ...string[]]): string[] =>
    execFileSync(words[0], words.slice(1), { encoding: "utf8" })
      .split("\n")
      .filter((line) => line !== "");
  return {
    links: lines("ip", "-o", "link").map((line) => line.split(" ").slice(0, 3).join(" ")),
    addresses: lines("ip", "-o", "-4", "address"),
    routes: lines("ip", "route", "show", "table", "all"),
    tables: lines("nft", "list", "tables"),
    namespaces: existsSync("/run/netns") ? readdirSync("/run/netns").sort() : [],
    mounts: readFileSync("/proc/self/mounts", "utf8").split("\n"),
    processes: heddleProcesses(),
  };
}

/** Processes of this checkout's CLI, and all that are in a network namespace other than ours. */
function heddleProcesses(): string[] {
  const own = readlinkSync("/proc/self/ns/net");
  const found: string[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      const elsewhere = readlinkSync(`/proc/${pid}/ns/net`) !== own;
      if (elsewhere || words.includes("src/main.ts")) found.push(`${pid} ${words}`);
    } catch {
      // It ended while we looked, or it is a kernel thread.
    }
  }
  return found.sort();
}
