/**
 * A proxy process as the agent starts it, but for its configuration, which comes from a file that may change: for
 * proxy.test.ts and the soak.
 *
 *   node test/netns/proxy-process.ts SNAPSHOT.json [LIMITS]      assignment on descriptor 3
 */

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createLog } from "../../src/base/log.ts";
import { descriptorsOf } from "../../src/kernel/descriptors.ts";
import { enterNetns, leaveNetwork } from "../../src/kernel/netns.ts";
import { originalDestination } from "../../src/kernel/original-destination.ts";
import { socketsByNetns } from "../../src/kernel/pod-sockets.ts";
import { becomeVisitor, dropPrivileges } from "../../src/kernel/privileges.ts";
import { spareMemoryGiver } from "../../src/kernel/spare-memory.ts";
import { isHungUp } from "../../src/kernel/tcp-state.ts";
import type { ProxySnapshot } from "../../src/proxy/config/source.ts";
import type { ProxyLimits } from "../../src/proxy/environment.ts";
import { runProxy } from "../../src/proxy/main.ts";

const [, , file = "", limits = "{}"] = process.argv;

const log = createLog((line) => void process.stderr.write(`${line}\n`), Date.now, "warn");

await runProxy({
  assignmentFd: 3,
  enterNetns,
  dropPrivileges,
  openLowPorts: () => {},
  descriptorsOf,
  visitor: {
    leaveNetwork,
    becomeVisitor,
    socketsByNetns,
    openLog: () => ({ log, threshold: { least: "warn" }, accessLog: () => {} }),
  },
  originalDestination,
  isHungUp,
  giveBack: spareMemoryGiver(),
  log,
  clock: { now: Date.now, sleep: (ms, signal) => sleep(ms, undefined, signal && { signal }) },
  random: Math.random,
  limits: JSON.parse(limits) as Partial<ProxyLimits>,
  source: () => ({
    async *snapshots(signal) {
      let seen = "";
      while (!signal.aborted) {
        const text = readFileSync(file, "utf8");
        if (text !== seen) yield JSON.parse(text) as ProxySnapshot;
        seen = text;
        await sleep(100, undefined, { signal }).catch(() => undefined);
      }
    },
    accept() {},
    reject(version, error) {
      throw new Error(`snapshot ${version} is refused: ${error}`);
    },
  }),
});
process.exit();
