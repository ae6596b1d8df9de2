/** The running kernel's driver keeps the promises of every KernelDriver, each test in namespaces of its own. */

import { describeKernelDriver } from "../../src/kernel/conformance.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { deleteNetns, inNetns } from "../../src/kernel/netns.ts";
import { wireguardLink } from "../../src/model/names.ts";
import { needsRoot, Scratch } from "./kernel-scratch.ts";
import { wireguardIn } from "./wireguard-node.ts";

describeKernelDriver(
  "the running kernel",
  () => {
    const scratch = new Scratch();
    const wireguard = wireguardIn(scratch.folder());
    const driver = inNetns(scratch.netns(), () => openKernelDriver({ wireguard }));
    scratch.defer(() => {
      driver.apply([{ kind: "link-delete", name: wireguardLink }]);
      driver.close();
    });
    return {
      driver,
      createNetns: () => scratch.netns(),
      deleteNetns,
      dispose: () => scratch[Symbol.dispose](),
    };
  },
  needsRoot,
);
