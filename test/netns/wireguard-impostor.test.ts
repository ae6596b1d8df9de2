/** What a node's own Node object, which it writes itself, can make others send to it. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { connect, TestNetwork } from "./dataplane-node.ts";
import { needsRoot } from "./kernel-scratch.ts";
import { type EncryptedNode, EncryptedSite, worldFor } from "./wireguard-node.ts";

const nodes = {
  one: { addresses: ["192.0.2.1"], pods: ["web"] },
  two: { addresses: ["192.0.2.2"], pods: ["api"] },
  zed: { addresses: ["192.0.2.3"], pods: [] },
};
const api = "fd00:244::41";

describe("a node that names a pod's address as its own", {
  skip: needsRoot,
  timeout: 300_000,
}, () => {
  const network = new TestNetwork();
  let site: EncryptedSite;
  before(async () => {
    site = new EncryptedSite(network, nodes);
    site.show(worldFor(nodes, site.keys));
    await network.serve(site.node("two").pod("api"), 8080, "api");
  });
  after(() => site?.[Symbol.asyncDispose]());

  test("gets no packet of the pod's", async () => {
    const web = site.node("one").pod("web");
    assert.match(await connect(web, api, 8080, "tcp", 5), /^api/);
    const lying: Readonly<Record<string, EncryptedNode>> = {
      ...nodes,
      zed: { addresses: ["192.0.2.3", api], pods: [] },
    };
    site.node("one").show(worldFor(lying, site.keys));
    assert.match(await connect(web, api, 8080, "tcp", 3), /^api/);
  });
});
