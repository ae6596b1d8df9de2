import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { podResolver, renderResolvConf } from "./pod-resolver.ts";

describe("a pod's resolver", () => {
  test("asks its node, searches its namespace first, and asks again every second", () => {
    assert.equal(
      renderResolvConf(podResolver("shop", ["10.244.0.1", "fd00:244::1"])),
      `nameserver 169.254.1.1
search shop.svc.cluster.local svc.cluster.local cluster.local
options ndots:5 timeout:1 attempts:5
`,
    );
  });

  test("asks its node by IPv6 where it has nothing else", () => {
    const { nameservers } = podResolver("shop", ["fd00:244::1"]);
    assert.deepEqual(nameservers, ["fd68:6564:646c::53"]);
  });
});
