/**
 * Addresses of both families in a whole cluster: given, told, policed, checked, and kept while a node moves.
 *
 * The pods are outside the mesh: what is held here is the network beneath it.
 */

import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { AddressBlock } from "../../src/api/heddle/v1.ts";
import type { Node, Pod } from "../../src/api/k8s/core.ts";
import { hostNetns, hostPaths, labPaths } from "../../src/lab/names.ts";
import { encodeMessage } from "../../src/wire/dns/encode.ts";
import { recordTypes } from "../../src/wire/dns/message.ts";
import { heddle, projectRoot, skipWithoutRoot, startLab, type TestLab } from "../lab.ts";

const pod = (name: string, image: string, annotations = "{}") => `
apiVersion: v1
kind: Pod
metadata:
  name: ${name}
  labels: { app: ${name}, sidecar.istio.io/inject: "false" }
  annotations: ${annotations}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{ name: main, image: "${image}" }]
`;

const extraNetns = `heddle-test-${process.pid}-leak`;

describe("the addresses of a cluster", { skip: skipWithoutRoot }, () => {
  let lab: TestLab;

  before(async () => {
    const files = [join(projectRoot, "test/e2e/manifests/addresses.yaml")];
    lab = await startLab({ files });
  });
  after(async () => {
    if (existsSync(`/run/netns/${extraNetns}`)) execFileSync("ip", ["netns", "delete", extraNetns]);
    await lab?.[Symbol.asyncDispose]();
  });

  const addressesOf = async (name: string): Promise<readonly string[]> => {
    const found = await lab.connection.client.get<Pod>("Pod", "default", name);
    return (found?.status?.podIPs ?? []).map(({ ip }) => ip);
  };
  const reaches = async (from: string, address: string): Promise<boolean> => {
    const host = address.includes(":") ? `[${address}]` : address;
    return (await lab.curl(from, "-m3", `http://${host}:8080/`)).code === 0;
  };
  const both = async (name: string): Promise<readonly string[]> =>
    lab.until(`${name} has both`, async () => {
      const found = await addressesOf(name);
      return found.length === 2 && found;
    });

  test("are of each family that there is a pool for, told on the Pod, and reached from other nodes", async () => {
    const servers = await lab.pods("server-");
    assert.equal(new Set(servers.map(({ node }) => node)).size, 2);
    for (const { name } of servers) {
      for (const address of await both(name)) {
        assert.ok(await reaches("client", address), `client to ${name} at ${address}`);
      }
    }
  });

  test("are those that a pod asks for by name, or of the pools that it names", async () => {
    await lab.apply(
      [
        pod("named", "curlimages/curl:8.16.0", '{ heddle.dev/addresses: "10.244.200.5" }'),
        pod("six-only", "heddle.dev/echo-service:1", "{ heddle.dev/address-pools: six }"),
        pod("lost", "curlimages/curl:8.16.0", '{ heddle.dev/addresses: "10.9.9.9" }'),
      ].join("---"),
    );
    const named = await both("named");
    assert.equal(named[0], "10.244.200.5");
    const [six = "", none] = await lab.until("six-only has one", async () => {
      const found = await addressesOf("six-only");
      return found.length > 0 && found;
    });
    assert.match(six, /^fd00:244::/);
    assert.equal(none, undefined);
    assert.ok(await lab.until("it answers", () => reaches("client", six)));
    const told = await lab.until("the one outside all pools is told why", async () => {
      const { status } = (await lab.connection.client.get<Pod>("Pod", "default", "lost")) ?? {};
      return status?.message;
    });
    assert.match(told, /10\.9\.9\.9: want one of an address pool: default \(10\.244\.0\.0\/16\)/);
    await lab.connection.client.delete("Pod", "default", "lost");
  });

  test("of IPv6 alone are enough to ask for names, by UDP and TCP, as its resolver is told", async () => {
    const [six = ""] = await addressesOf("six-only");
    const name = `${six.replaceAll(":", "-")}.default.pod.cluster.local`;
    const query = encodeMessage({
      ...{ id: 7, isResponse: false, opcode: 0, authoritative: false, truncated: false },
      ...{ recursionDesired: true, recursionAvailable: false, responseCode: 0 },
      questions: [{ name, type: recordTypes.AAAA, class: 1 }],
      ...{ answers: [], authorities: [], additionals: [] },
    });
    const framed = Buffer.from([0, query.length, ...query]).toString("hex");
    const program = `
      const [byUdp, byTcp] = [require("node:dns").promises, require("node:net")];
      byUdp.resolve6("${name}").then((found) => {
        const socket = byTcp.connect(53, "fd68:6564:646c::53");
        socket.once("data", (bytes) => {
          console.log([byUdp.getServers(), found, bytes[5] & 15, bytes[9]].join());
          process.exit();
        });
        socket.write(Buffer.from("${framed}", "hex"));
      });`;
    const asked = await lab.exec("six-only", process.execPath, "-e", program);
    assert.equal(asked.stdout.trim(), `fd68:6564:646c::53,${six},0,1`, asked.stderr);
  });

  test("are held to policy in both families", async () => {
    const policy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: closed }
spec: { podSelector: { matchLabels: { app: server } } }
`;
    const [server] = await lab.pods("server-");
    const addresses = await both(server?.name ?? "");
    await lab.apply(policy);
    for (const address of addresses) assert.equal(await reaches("client", address), false, address);
    await lab.delete(policy);
    for (const address of addresses) {
      assert.ok(await lab.until(`${address} is open`, () => reaches("client", address)));
    }
  });

  test("that nobody has any more are found and given back, while pods come and go", async () => {
    const check = async (...words: string[]) =>
      heddle(["ipam", "check", "--lab", lab.name, ...words], lab.base);
    const clean = await check();
    assert.match(
      clean.stdout,
      /^consistent \(records of node-1, node-2 looked into\)/,
      clean.stderr,
    );
    const going = await lab.connection.client.get<Pod>("Pod", "default", "six-only");
    const node = Number(/\d+$/.exec(going?.spec.nodeName ?? "")?.[0]);
    const leaked = await attachAgain(lab, node, going?.metadata.uid ?? "");
    await lab.connection.client.delete("Pod", "default", "six-only");
    const ghost: Pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "ghost", namespace: "default" },
      spec: {
        nodeName: "node-gone",
        containers: [{ name: "main", image: "curlimages/curl:8.16.0" }],
      },
    };
    await lab.connection.client.create(ghost);
    await lab.connection.client.patchStatus("Pod", "default", "ghost", { podIP: "10.244.77.7" });
    await lab.until("the pod is gone", async () => {
      return (await lab.connection.client.get("Pod", "default", "six-only")) === undefined;
    });
    const found = await check();
    assert.equal(found.code, 1);
    assert.match(found.stdout, new RegExp(`leaked record: node-${node} keeps ${leaked}`));
    assert.match(found.stdout, /leaked Pod address: Pod default\/ghost shows 10\.244\.77\.7/);
    assert.match(found.stdout, /2 found, 0 fixed/);
    const fixed = await check("--fix");
    assert.match(fixed.stdout, /2 found, 2 fixed/);
    assert.match((await check()).stdout, /^consistent/);
    await lab.connection.client.delete("Pod", "default", "ghost");
    assert.ok(
      await reaches("client", (await both((await lab.pods("server-"))[0]?.name ?? ""))[0] ?? ""),
    );
  });

  test("that a node held are free when it has left", async () => {
    const { client } = lab.connection;
    const node: Node = { apiVersion: "v1", kind: "Node", metadata: { name: "passing" } };
    await client.create(node);
    const block: AddressBlock = {
      apiVersion: "heddle.dev/v1",
      kind: "AddressBlock",
      metadata: { name: "10.244.99.0-26" },
      spec: {
        cidr: "10.244.99.0/26",
        node: "passing",
        claims: [{ cidr: "10.244.99.0/27", node: "passing" }],
      },
    };
    await client.create(block);
    await client.delete("Node", "", "passing");
    await lab.until("its block is gone", async () => {
      return (await client.get("AddressBlock", "", "10.244.99.0-26")) === undefined;
    });
  });

  test("stay reachable when their node gets another address", async () => {
    const servers = await lab.pods("server-");
    const far = servers.find(({ node }) => node === "node-2");
    const [client] = await lab.pods("client");
    const addresses = await both(far?.name ?? "");
    const host = hostNetns(lab.name, 2);
    const ip = (...words: string[]) => execFileSync("ip", ["-n", host, ...words]);
    // The other way round the new one would be a second of the old one's subnet, and go with it.
    ip("address", "delete", "192.0.2.12/24", "dev", "eth0");
    ip("address", "add", "192.0.2.77/24", "dev", "eth0");
    await lab.until(
      "the others know",
      async () => {
        const node = await lab.connection.client.get<Node>("Node", "", "node-2");
        return node?.status?.addresses?.some(({ address }) => address === "192.0.2.77");
      },
      90_000,
    );
    assert.ok(client !== undefined);
    for (const address of addresses) {
      const heals = () => reaches("client", address);
      assert.ok(await lab.until(`${address} is reached`, heals, 60_000));
    }
  });
});

/** A second container of the pod, in a namespace of its own, that nobody will ever take back; gives its addresses. */
async function attachAgain(lab: TestLab, node: number, uid: string): Promise<string> {
  execFileSync("ip", ["netns", "add", extraNetns]);
  const env = {
    CNI_COMMAND: "ADD",
    CNI_CONTAINERID: "leaked",
    CNI_NETNS: `/run/netns/${extraNetns}`,
    CNI_IFNAME: "eth0",
    CNI_PATH: "/opt/cni/bin",
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=six-only;K8S_POD_UID=${uid}`,
    HEDDLE_CNI_SOCKET: hostPaths(labPaths(lab.name, lab.base), node).cniSocket,
  };
  const stdout = await new Promise<string>((resolve, reject) => {
    const child = execFile(join(projectRoot, "build/heddle-cni"), { env }, (error, out) =>
      error === null ? resolve(out) : reject(new Error(out)),
    );
    child.stdin?.end(JSON.stringify({ cniVersion: "1.0.0", name: "pods" }));
  });
  const { ips } = JSON.parse(stdout) as { ips: readonly { address: string }[] };
  return ips.map(({ address }) => address.split("/")[0]).join(", ");
}
