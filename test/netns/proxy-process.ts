/**
 * A proxy process as the agent starts it, but for its configuration, which comes from a file: for proxy.test.ts.
 *
 *   node test/netns/proxy-process.ts SNAPSHOT.json      assignment on descriptor 3
 */

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createLog } from "../../src/base/log.ts";
import { descriptorsOf } from "../../src/kernel/descriptors.ts";
import { enterNetns } from "../../src/kernel/netns.ts";
import { originalDestination } from "../../src/kernel/original-destination.ts";
import { dropPrivileges } from "../../src/kernel/privileges.ts";
import { programPagesDropper } from "../../src/kernel/program-pages.ts";
import type { ProxySnapshot } from "../../src/proxy/config/source.ts";
import { runProxy } from "../../src/proxy/main.ts";

const snapshot = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as ProxySnapshot;

await runProxy({
  assignmentFd: 3,
  enterNetns,
  dropPrivileges,
  openLowPorts: () => {},
  descriptorsOf,
  originalDestination,
  giveBack: programPagesDropper(),
  log: createLog((line) => void process.stderr.write(`${line}\n`), Date.now, "warn"),
  clock: { now: Date.now, sleep: (ms, signal) => sleep(ms, undefined, signal && { signal }) },
  random: Math.random,
  source: () => ({
    async *snapshots() {
      yield snapshot;
    },
    accept() {},
    reject(version, error) {
      throw new Error(`snapshot ${version} is refused: ${error}`);
    },
  }),
});
process.exit();
