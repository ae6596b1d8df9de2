/** A dropped packet's log prefix leads back to what dropped it. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Drop, parseDrop, renderDrop } from "./names.ts";
import { hostLinkName, podMac } from "./pod-link.ts";

describe("a drop's log prefix", () => {
  const drops: readonly Drop[] = [
    { kind: "policy", direction: "ingress", identity: 1 },
    { kind: "policy", direction: "egress", identity: 0xffffff },
    { kind: "policy", direction: "egress" },
    { kind: "admission", reason: "spoofed-source" },
    { kind: "admission", reason: "unknown-link" },
    { kind: "admission", reason: "overlay-from-pod" },
  ];

  test("is read back as what was written, within the kernel's 127 characters", () => {
    for (const drop of drops) {
      assert.deepEqual(parseDrop(renderDrop(drop)), drop);
      assert.ok(renderDrop(drop).length < 64);
    }
  });

  test("of others is not taken for one", () => {
    for (const text of ["", "DROP ", "heddle deny sideways 000001", "heddle drop something"]) {
      assert.equal(parseDrop(text), undefined);
    }
  });
});

describe("a pod's link", () => {
  test("has a name that fits an interface and follows from the attachment alone", () => {
    const name = hostLinkName("0123456789abcdef".repeat(4), "eth0");
    assert.match(name, /^hd[0-9a-f]{10}$/);
    assert.equal(hostLinkName("a", "eth0"), hostLinkName("a", "eth0"));
    assert.notEqual(hostLinkName("a", "eth0"), hostLinkName("a", "eth1"));
    assert.notEqual(hostLinkName("a", "eth0"), hostLinkName("b", "eth0"));
  });

  test("has a locally administered unicast address inside the pod", () => {
    assert.match(podMac("a", "eth0"), /^02(:[0-9a-f]{2}){5}$/);
  });
});
