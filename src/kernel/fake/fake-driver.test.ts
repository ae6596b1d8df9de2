/** The kernel in memory keeps the promises of the real one. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { describeKernelDriver } from "../conformance.ts";
import { createFakeKernel } from "./fake-driver.ts";

let namespaces = 0;

describeKernelDriver("the fake kernel", () => {
  const driver = createFakeKernel();
  return {
    driver,
    createNetns() {
      namespaces += 1;
      const path = `/run/netns/fake-${namespaces}`;
      driver.addNetns(path);
      return path;
    },
    deleteNetns: (path) => driver.removeNetns(path),
    dispose: () => undefined,
  };
});

test("the fake kernel refuses the steps it is told to refuse and keeps those before", () => {
  const kernel = createFakeKernel();
  kernel.failOn((step) => (step.kind === "nft" ? "disk on fire" : undefined));
  assert.throws(
    () =>
      kernel.apply([
        { kind: "sysctl", sysctl: { key: "net/ipv4/ip_forward", value: "1" } },
        { kind: "nft", text: "flush ruleset" },
      ]),
    { code: "kernel.nft.refused", message: "disk on fire" },
  );
  assert.deepEqual(kernel.transactions, []);
  assert.equal(kernel.observe().sysctls.length, 1);
});
