/**
 * A fake node as a process of its own, on the running kernel: for tests that kill an agent.
 *
 * Arguments: the namespace to live in, the directory, and the names of the pods that its view shows. Prints a line when
 * its view is in the kernel. A successor in the same directory finds what the killed one left.
 *
 * With HEDDLE_DIE_BEFORE=n it kills itself before the n-th change that it then makes to the kernel.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { KernelDriver } from "../../kernel/driver.ts";
import { openKernelDriver } from "../../kernel/netlink-driver.ts";
import { enterNetns } from "../../kernel/netns.ts";
import { startFakeNode } from "./node.ts";

const [netns = "", directory = "", ...pods] = process.argv.slice(2);
enterNetns(netns);
let changesLeft = Number.POSITIVE_INFINITY;
const openDriver = () => mortal(openKernelDriver());
const node = await startFakeNode({ openDriver, directory, spareSidecars: 1 });
node.showPods(pods.map((name) => ({ name, meshed: name.startsWith("meshed") })));
while (node.verdicts.length === 0) await sleep(1);
changesLeft = Number(process.env["HEDDLE_DIE_BEFORE"] ?? changesLeft);
process.stdout.write("listening\n");
process.once("SIGTERM", () => void node.stop().then(() => process.exit(0)));

/** Counts each step of a plan by itself, as a crash may come between any two. */
function mortal(kernel: KernelDriver): KernelDriver {
  const change = () => {
    changesLeft -= 1;
    if (changesLeft <= 0) process.kill(process.pid, "SIGKILL");
  };
  return {
    ...kernel,
    apply(plan) {
      for (const step of plan) {
        change();
        kernel.apply([step]);
      }
    },
    applyRulesetIn(...args) {
      change();
      kernel.applyRulesetIn(...args);
    },
    removeRulesetIn(...args) {
      change();
      kernel.removeRulesetIn(...args);
    },
    forgetConnections(address) {
      change();
      kernel.forgetConnections(address);
    },
  };
}
