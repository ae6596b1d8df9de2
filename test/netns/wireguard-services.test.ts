/** Pods that ask nodes' own addresses, where traffic between nodes is encrypted: Services from outside, and what answers. */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { inNetns } from "../../src/kernel/netns.ts";
import { connect, ip, type Netns, TestNetwork } from "./dataplane-node.ts";
import { needsRoot } from "./kernel-scratch.ts";
import { EncryptedSite, worldFor } from "./wireguard-node.ts";

const nodes = {
  one: { addresses: ["192.0.2.1", "2001:db8::1"], pods: ["web"] },
  three: { addresses: ["192.0.2.3", "2001:db8::3"], pods: ["third"] },
  two: { addresses: ["192.0.2.2", "2001:db8::2"], pods: ["api"] },
};
const service = (
  name: string,
  family: string,
  [cluster, external, pod]: readonly string[],
  port: number,
) => `
apiVersion: v1
kind: Service
metadata: { namespace: shop, name: ${name} }
spec:
  type: NodePort
  ipFamilies: [${family}]
  clusterIP: "${cluster}"
  clusterIPs: ["${cluster}"]
  externalIPs: ["${external}"]
  selector: { app: api }
  ports: [{ name: http, port: 80, targetPort: 8080, nodePort: ${port}, protocol: TCP }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { namespace: shop, name: ${name}-1, labels: { kubernetes.io/service-name: ${name} } }
addressType: ${family}
ports: [{ name: http, port: 8080, protocol: TCP }]
endpoints: [{ addresses: ["${pod}"], conditions: { ready: true }, nodeName: two, targetRef: { kind: Pod, namespace: shop, name: api } }]
`;
// Blocks are the nodes' in the order of their names.
const four = service("api", "IPv4", ["10.96.0.9", "198.51.100.9", "10.244.0.129"], 30080);
const push: string = service("push", "IPv4", ["10.96.0.10", "198.51.100.10", "10.244.0.129"], 30090)
  .replace("port: 8080", "port: 9090")
  .replace("targetPort: 8080", "targetPort: 9090");
/** A program that repeats what it is told. */
const listens = (port: number) =>
  `require("node:net").connect(${port}, "192.0.2.1").pipe(process.stdout)`;

describe("a pod whose packets to other nodes are encrypted", {
  skip: needsRoot,
  timeout: 300_000,
}, () => {
  const network = new TestNetwork();
  let site: EncryptedSite;
  let web: Netns;

  before(async () => {
    site = new EncryptedSite(network, nodes);
    site.show(worldFor(nodes, site.keys, four));
    await network.serve(site.node("two").pod("api"), 8080, "api");
    await network.serve(site.node("two").host, 7070, "node");
    web = site.node("one").pod("web");
  });
  after(() => site?.[Symbol.asyncDispose]());

  for (const [what, address, port] of [
    ["an external address", "198.51.100.9", 80],
    ["a port of its own node", "192.0.2.1", 30080],
    ["a port of the endpoint's node", "192.0.2.2", 30080],
    ["a port of a node that has no endpoint", "192.0.2.3", 30080],
  ] as const) {
    test(`reaches ${what}, whose endpoint is on another node, and nothing of it is in the clear`, async () => {
      const capture = await site.capture();
      assert.match(await connect(web, address, port, "tcp", 5), /^api /);
      assert.deepEqual(readable((await capture.stop()).heads), []);
    });
  }

  test("reaches what listens on another node itself, as itself, by either family", async () => {
    const capture = await site.capture();
    assert.equal(await connect(web, "192.0.2.2", 7070, "tcp", 5), "node 10.244.0.1");
    assert.equal(await connect(web, "2001:db8::2", 7070, "tcp", 5), "node fd00:244::1");
    assert.deepEqual(readable((await capture.stop()).heads), []);
  });

  test("answers another node encrypted, also by a port of its own node", async () => {
    const capture = await site.capture();
    const { host } = site.node("one");
    assert.match(await connect(host, "10.244.0.129", 8080, "tcp", 5), /^api 192\.0\.2\.1/);
    assert.match(await connect(host, "192.0.2.2", 30080, "tcp", 5), /^api /);
    const { heads } = await capture.stop();
    // What a node itself asks of another's address is the node's own affair.
    assert.deepEqual(
      readable(heads).filter((head) => !/ 192\.0\.2\.1\.\d+ > 192\.0\.2\.2\.30080:/.test(head)),
      [],
    );
  });

  test("sends nothing in the clear while the device is missing, not even on a connection that was open", async () => {
    const two = site.node("two");
    // `api` goes on to answer `web`, whose node asks in its place.
    const server = createServer();
    inNetns(two.pod("api").path, () => server.listen(9090));
    site.show(worldFor(nodes, site.keys, `${four}---${push}`));
    const client = inNetns(web.path, () => spawn(process.execPath, ["-e", listens(30090)]));
    const said = once(client.stdout, "data");
    const [socket] = (await once(server, "connection")) as [Socket];
    const capture = await site.capture();
    try {
      ip(two.host, "link delete hdwg");
      socket.write("answer");
      // Nor does it ask another node, whose answer would be as readable.
      assert.equal(await connect(two.pod("api"), "192.0.2.1", 30080), "timeout");
      // What has left before this has passed the wire before it.
      execFileSync("ip", ["netns", "exec", two.host.name, "ping", "-c1", "192.0.2.1"]);
      const heads = readable((await capture.stop()).heads);
      assert.equal(heads.filter((head) => /ICMP echo/.test(head)).length, 2);
      assert.deepEqual(
        heads.filter((head) => !/ICMP (echo|.* port 51871 unreachable)/.test(head)),
        [],
      );
      two.repair();
      assert.equal(`${(await said)[0]}`, "answer");
    } finally {
      two.repair();
      client.kill();
      socket.destroy();
      server.close();
      site.show(worldFor(nodes, site.keys, four));
    }
  });

  test("is led so again where others took rules and routes away", async () => {
    const two = site.node("two");
    ip(two.host, "rule delete preference 18500; route flush table 18500");
    assert.equal(await connect(web, "192.0.2.1", 30080), "timeout");
    assert.deepEqual(
      two.repair().map(({ kind }) => kind),
      ["route-replace", "route-replace", "rule-add"],
    );
    assert.match(await connect(web, "192.0.2.1", 30080, "tcp", 5), /^api /);
    assert.deepEqual(two.repair(), []);
  });
});

/** Heads of packets that carry something, and are not WireGuard's. */
function readable(heads: readonly string[]): readonly string[] {
  return heads.filter(
    (head) => !/\.51871: UDP, length|ICMP6, (neighbor|router|multicast)|: igmp /.test(head),
  );
}
