import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { podResolver, renderResolvConf } from "./pod-resolver.ts";

describe("a pod's resolver", () => {
  test("asks its node, searches its namespace first, and asks again every second", () => {
    assert.equal(
      renderResolvConf(podResolver("shop")),
      `nameserver 169.254.1.1
search shop.svc.cluster.local svc.cluster.local cluster.local
options ndots:5 timeout:1 attempts:5
`,
    );
  });
});
