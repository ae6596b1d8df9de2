/**
 * A cluster that encrypts between its nodes: keys are made and told, pods reach each other, agents come and go.
 *
 * What a machine on the wire sees, and what is refused, is in test/netns/wireguard.test.ts.
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { statSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { AgentStatus } from "../../src/agent/status.ts";
import type { Node, Pod } from "../../src/api/k8s/core.ts";
import { present } from "../../src/base/error.ts";
import { checkNetwork } from "../../src/cli/check-network.ts";
import { getText } from "../../src/lab/ask-socket.ts";
import { hostNetns, hostPaths, labPaths } from "../../src/lab/names.ts";
import { wireguardKeyAnnotation } from "../../src/model/names.ts";
import { projectRoot, skipWithoutRoot, startLab, type TestLab } from "../lab.ts";

describe("a cluster that encrypts between its nodes", { skip: skipWithoutRoot }, () => {
  const manifest = join(projectRoot, "test/e2e/manifests/encrypted.yaml");
  let lab: TestLab;
  let remote: Pod;

  before(async () => {
    lab = await startLab({ files: [manifest] });
    const at = async (name: string) => {
      const pod = await lab.connection.client.get<Pod>("Pod", "default", name);
      return present(pod, `pod ${name}`);
    };
    const client = await at("client");
    const servers = await lab.pods("server-");
    const pods = await Promise.all(servers.map(({ name }) => at(name)));
    remote = present(
      pods.find(({ spec }) => spec.nodeName !== client.spec.nodeName),
      "a server on the other node",
    );
  });
  after(() => lab?.[Symbol.asyncDispose]());

  const foldersOf = (index: number) => hostPaths(labPaths(lab.name, lab.base), index);
  const statusOf = async (index: number): Promise<AgentStatus> =>
    JSON.parse(await getText(join(foldersOf(index).run, "agent.sock"), "/status"));
  const keysTold = async (): Promise<readonly (string | undefined)[]> =>
    Promise.all(
      ["node-1", "node-2"].map(async (name) => {
        const node = await lab.connection.client.get<Node>("Node", "", name);
        return node?.metadata.annotations?.[wireguardKeyAnnotation];
      }),
    );
  const allReached = async (
    curl = (...words: string[]) => lab.curl("client", ...words),
  ): Promise<boolean> => {
    const addresses = remote.status?.podIPs ?? [];
    const hosts = addresses.map(({ ip }) => (ip.includes(":") ? `[${ip}]` : ip));
    const answers = await Promise.all(hosts.map((host) => curl("-m5", `http://${host}:8080/`)));
    return answers.length === 2 && answers.every(({ code }) => code === 0);
  };

  test("has a key for each node, told to all but for its other half, and pods reach each other", async () => {
    const [first, second] = await keysTold();
    assert.ok(first !== undefined && second !== undefined && first !== second);
    assert.equal(statSync(join(foldersOf(1).state, "wireguard.key")).mode & 0o777, 0o600);
    assert.equal(await allReached(), true);
    const { wireguard, wireguardPeers, diagnostics } = await statusOf(1);
    assert.match(wireguard, /^on, by (the kernel|wireguard-go)$/);
    assert.deepEqual(diagnostics, []);
    const [peer, ...more] = wireguardPeers ?? [];
    assert.deepEqual([peer?.node, peer?.publicKey, more], ["node-2", second, []]);
    assert.ok(peer?.handshakeAgeSeconds !== undefined && peer.handshakeAgeSeconds < 180);
    const metrics = await getText(join(foldersOf(1).run, "agent.sock"), "/metrics");
    assert.match(metrics, /^heddle_agent_wireguard_handshake_age_seconds\{peer="node-2"\} \d+$/m);
    assert.match(
      metrics,
      /^heddle_agent_wireguard_bytes_total\{peer="node-2",direction="sent"\} [1-9]\d*$/m,
    );
  });

  test("is found sound by a check, on the encrypted way as well", async () => {
    const { findings, paths, probed } = await checkNetwork(lab.connection.transport);
    assert.deepEqual({ findings, paths, probed }, { findings: [], paths: 4, probed: 4 });
  });

  test("loses no packet while agents are killed and come back", async () => {
    const address = present(remote.status?.podIPs?.[0]?.ip, "address");
    const pinging = lab.exec("client", "ping", "-i", "0.05", "-W", "5", "-c", "300", address);
    for (const index of [0, 1]) {
      const killed = present((await lab.status()).nodes[index], `node-${index + 1}`).pid;
      process.kill(present(killed, "pid of the agent"), "SIGKILL");
      await lab.until(`another agent serves node-${index + 1}`, async () => {
        const node = (await lab.status()).nodes[index];
        return node?.pid !== undefined && node.pid !== killed && node.ready;
      });
    }
    const { stdout, stderr } = await pinging;
    assert.match(stdout + stderr, /300 packets transmitted, 300 received, 0% packet loss/);
  });

  test("follows a key that is made anew", async () => {
    const [, old] = await keysTold();
    unlinkSync(join(foldersOf(2).state, "wireguard.key"));
    const killed = present((await lab.status()).nodes[1], "node-2").pid;
    process.kill(present(killed, "pid of the agent"), "SIGTERM");
    await lab.until("another key is told", async () => {
      const [, key] = await keysTold();
      return key !== undefined && key !== old;
    });
    // WireGuard tries a lost handshake again after five seconds: until then nothing passes that `explain` allows.
    const curl = (...words: string[]) => lab.exec("client", "curl", "-s", ...words);
    await lab.until("pods reach each other again", () => allReached(curl), 60_000);
    assert.equal(await allReached(), true);
    const [, key] = await keysTold();
    assert.equal((await statusOf(1)).wireguardPeers?.[0]?.publicKey, key);
  });

  test("takes the device away when the network wants none, and brings it back", async () => {
    const encap = (word: string) => `
apiVersion: heddle.dev/v1
kind: Network
metadata: { name: default }
spec: { podCidr: 10.244.0.0/16, blockPrefixLength: 26, serviceCidr: 10.96.0.0/16, encap: ${word} }
`;
    const links = async (index: number): Promise<string> => {
      const child = execFile("ip", ["-n", hostNetns(lab.name, index), "-br", "link"]);
      let text = "";
      child.stdout?.on("data", (chunk: string) => {
        text += chunk;
      });
      await once(child, "close");
      return text;
    };
    await lab.apply(encap("vxlan"));
    assert.equal(await allReached(), true);
    assert.deepEqual(
      [(await links(1)).includes("hdwg"), (await links(2)).includes("hdwg")],
      [false, false],
    );
    assert.match((await statusOf(1)).wireguard, /^available/);
    await lab.apply(encap("wireguard"));
    assert.equal(await allReached(), true);
    assert.equal((await links(1)).includes("hdvxlan"), false);
  });
});
