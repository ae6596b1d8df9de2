/** The running kernel's driver keeps the promises of every KernelDriver, each test in namespaces of its own. */

import { describeKernelDriver } from "../../src/kernel/conformance.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { deleteNetns, inNetns } from "../../src/kernel/netns.ts";
import { needsRoot, Scratch } from "./kernel-scratch.ts";

describeKernelDriver(
  "the running kernel",
  () => {
    const scratch = new Scratch();
    const driver = inNetns(scratch.netns(), openKernelDriver);
    scratch.defer(() => driver.close());
    return {
      driver,
      createNetns: () => scratch.netns(),
      deleteNetns,
      dispose: () => scratch[Symbol.dispose](),
    };
  },
  needsRoot,
);
