/** The running kernel's driver keeps the promises of every KernelDriver, each test in namespaces of its own. */

import { execFileSync } from "node:child_process";
import { describeKernelDriver } from "../../src/kernel/conformance.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { createNetns, deleteNetns, inNetns } from "../../src/kernel/netns.ts";

let made = 0;

function freshNetns(): string {
  made += 1;
  const path = `/run/netns/heddle-test-${process.pid}-${made}`;
  createNetns(path);
  return path;
}

describeKernelDriver("the running kernel", () => {
  const node = freshNetns();
  const pods: string[] = [];
  // As on every machine: without an address the kernel has no local table, and takes no next hop.
  inNetns(node, () => execFileSync("ip", ["link", "set", "lo", "up"]));
  const driver = inNetns(node, openKernelDriver);
  return {
    driver,
    createNetns() {
      const path = freshNetns();
      pods.push(path);
      return path;
    },
    deleteNetns,
    dispose() {
      driver.close();
      for (const path of [node, ...pods]) deleteNetns(path);
    },
  };
});
