/**
 * A fake node as a process of its own, on the running kernel: for tests that kill an agent.
 *
 * Arguments: the namespace to live in, the directory, and the names of the pods that its view shows. Prints a line when
 * its view is in the kernel. A successor in the same directory finds what the killed one left.
 *
 * With HEDDLE_DIE_BEFORE=n it kills itself before the n-th change that it then makes to the kernel. With
 * HEDDLE_VIEW=<file> its view is in a file (`FileView`), read again after SIGHUP. With HEDDLE_RELEASE=<version> it is
 * of that version and keeps a name server.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { KernelDriver } from "../../kernel/driver.ts";
import { openKernelDriver } from "../../kernel/netlink-driver.ts";
import { enterNetns } from "../../kernel/netns.ts";
import { podGateway } from "../../model/names.ts";
import type { ServiceView } from "../../model/node-view.ts";
import { type FakePod, startFakeNode } from "./node.ts";

export interface FileView {
  readonly pods: readonly FakePod[];
  readonly services: readonly ServiceView[];
}

const [netns = "", directory = "", ...pods] = process.argv.slice(2);
const { HEDDLE_DIE_BEFORE, HEDDLE_VIEW, HEDDLE_RELEASE } = process.env;
enterNetns(netns);
let changesLeft = Number.POSITIVE_INFINITY;
const openDriver = () => mortal(openKernelDriver());
const node = await startFakeNode({ openDriver, directory, spareSidecars: 1, ...versioned() });
showView();
while (node.verdicts.length === 0) await sleep(1);
changesLeft = Number(HEDDLE_DIE_BEFORE ?? changesLeft);
process.stdout.write("listening\n");
process.on("SIGHUP", showView);
process.once("SIGTERM", () => void node.stop().then(() => process.exit(0)));

function showView(): void {
  const named = pods.map((name) => ({ name, meshed: name.startsWith("meshed") }));
  const view: FileView =
    HEDDLE_VIEW === undefined
      ? { pods: named, services: [] }
      : JSON.parse(readFileSync(HEDDLE_VIEW, "utf8"));
  node.showPods(view.pods, view.services);
}

function versioned(): { readonly release?: string; readonly nameServerCommand?: string[] } {
  if (HEDDLE_RELEASE === undefined) return {};
  const main = join(import.meta.dirname, "../../main.ts");
  const where = ["--address", podGateway, "--port", "53"];
  return {
    release: HEDDLE_RELEASE,
    nameServerCommand: [process.execPath, main, "names", ...where],
  };
}

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
    forgetConnections(addresses) {
      change();
      kernel.forgetConnections(addresses);
    },
  };
}
