import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Resource } from "../../api/resource.ts";
import { createKeyAndCsr } from "../../pki/key.ts";
import { createCertificateClient } from "../../rpc/certificate-client.ts";
import type { NodeViewSnapshot } from "../../rpc/node-view-source.ts";
import { watchNodeView } from "../../rpc/node-view-source.ts";
import { openTestbed, pod, silentLog, type Testbed, testClock } from "./testbed.test-support.ts";

const node: Resource = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "node-1" },
  status: { addresses: [{ type: "InternalIP", address: "192.0.2.1" }] },
} as Resource;

/** Reads one snapshot after the other. */
function views(
  bed: Testbed,
  signal: AbortSignal,
  name = "node-1",
  token = `token-${name}`,
): () => Promise<NodeViewSnapshot> {
  const iterator = watchNodeView(
    {
      target: bed.target,
      token,
      roots: bed.rootPem,
      node: name,
      clock: testClock,
      random: Math.random,
      log: silentLog,
    },
    signal,
  )[Symbol.asyncIterator]();
  return async () => {
    const { value, done } = await iterator.next();
    assert.ok(done !== true, "the view ended");
    return value;
  };
}

describe("an agent's view", { timeout: 300_000 }, () => {
  test("comes whole, changes with the world, and is acknowledged by version", async (t) => {
    await using bed = await openTestbed();
    bed.world.put(node, pod("web", { ip: "10.244.0.1" }));
    const next = views(bed, t.signal);
    const first = await next();
    assert.deepEqual(
      first.view.nodes.map(({ name, address }) => `${name} ${address}`),
      ["node-1 192.0.2.1"],
    );
    assert.ok(first.view.workloads.some(({ name }) => name === "web"));
    first.accept();
    const version = bed.world.put(pod("cart", { ip: "10.244.0.2" }));
    const second = await next();
    assert.equal(second.version, `${version}`);
    assert.ok(second.view.workloads.some(({ name }) => name === "cart"));
    second.accept();
    const [status] = await bed.server.waitForVersion(version, t.signal);
    assert.equal(status?.id, "agent~node-1");
    assert.equal(status?.acked, version);
  });

  test("that the node refuses is reported with the node's words", async (t) => {
    await using bed = await openTestbed();
    const version = bed.world.put(node);
    const next = views(bed, t.signal);
    (await next()).reject("nft: table is locked");
    const [status] = await bed.server.waitForVersion(version, t.signal);
    assert.deepEqual(status?.rejected, { version, error: "nft: table is locked" });
  });

  test("goes on after the server was away, with the same content not handed out twice", async (t) => {
    await using bed = await openTestbed();
    bed.world.put(node);
    const next = views(bed, t.signal);
    (await next()).accept();
    await bed.restart();
    // Connected again and settled without a new snapshot.
    while (bed.server.status()[0]?.acked === undefined) await testClock.sleep(5, t.signal);
    const version = bed.world.put(pod("late", { ip: "10.244.0.9" }));
    const snapshot = await next();
    assert.equal(snapshot.version, `${version}`);
  });

  test("is not given to a token of another node", async (t) => {
    await using bed = await openTestbed();
    bed.world.put(node);
    const stop = new AbortController();
    const signal = AbortSignal.any([t.signal, stop.signal]);
    const pending = views(bed, signal, "node-1", "token-node-2")();
    await testClock.sleep(300, t.signal); // long enough for several attempts
    assert.deepEqual(bed.server.status(), []);
    stop.abort();
    await assert.rejects(pending, /the view ended/);
  });
});

describe("a certificate", { timeout: 300_000 }, () => {
  const request = async (
    bed: Testbed,
    token: string,
    uid = "uid-web",
  ): Promise<readonly string[]> => {
    const client = createCertificateClient({ target: bed.target, token, roots: bed.rootPem });
    const { csrPem } = await createKeyAndCsr("spiffe://cluster.local/ns/evil/sa/admin");
    try {
      const { chainPem } = await client.issue({
        csrPem,
        pod: { namespace: "shop", name: "web", uid },
      });
      return chainPem;
    } finally {
      client.close();
    }
  };

  test("carries the identity of the pod that it was asked for, whatever the request says", async () => {
    await using bed = await openTestbed();
    bed.world.put(pod("web"));
    const [leaf = ""] = await request(bed, "token-node-1");
    const { X509Certificate } = await import("node:crypto");
    assert.equal(
      new X509Certificate(leaf).subjectAltName,
      "URI:spiffe://cluster.local/ns/shop/sa/web",
    );
    assert.equal(bed.metrics.certificates.issued.value, 1);
  });

  test("is refused to other nodes, for pods that are not there, and without a token", async () => {
    await using bed = await openTestbed();
    bed.world.put(pod("web"));
    await assert.rejects(request(bed, "token-node-2"), {
      code: "rpc.permission-denied",
      retryable: false,
    });
    await assert.rejects(request(bed, "token-node-1", "uid-of-an-older-pod"), /does not exist/);
    await assert.rejects(request(bed, "nonsense"), { code: "rpc.unauthenticated" });
    const { requested, unauthorized, issued } = bed.metrics.certificates;
    assert.deepEqual([requested.value, unauthorized.value, issued.value], [3, 3, 0]);
  });

  test("is refused for good, not for a while, where the signing request cannot be read", async () => {
    await using bed = await openTestbed();
    bed.world.put(pod("web"));
    const client = createCertificateClient({
      target: bed.target,
      token: "token-node-1",
      roots: bed.rootPem,
    });
    const uid = "uid-web";
    const refused = client.issue({ csrPem: "?", pod: { namespace: "shop", name: "web", uid } });
    await assert.rejects(refused, { code: "rpc.invalid-argument", retryable: false });
    client.close();
    assert.equal(bed.metrics.certificates.unreadable.value, 1);
  });
});
