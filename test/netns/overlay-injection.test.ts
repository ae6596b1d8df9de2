/** Who can put a packet into the overlay: its nodes, and nobody else. */

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { until } from "../../src/agent/fake/calls.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import { ip, type Netns, TestNetwork } from "./dataplane-node.ts";
import { at, type DrivenNode, type PodName, port, twoNodes, worldWith } from "./fast-path-nodes.ts";
import { needsRoot } from "./kernel-scratch.ts";

const outside = "203.0.113.9";
const answering = 5353;

const policy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { namespace: shop, name: server }
spec:
  podSelector: { matchLabels: { app: server } }
  ingress:
    - from: [{ podSelector: { matchLabels: { app: client } } }]
      ports: [{ protocol: UDP, port: ${port} }]
    - from: [{ ipBlock: { cidr: 203.0.113.0/24 } }]
      ports: [{ protocol: UDP, port: ${answering} }]
`;

describe("the overlay", { skip: needsRoot, timeout: 300_000 }, () => {
  const network = new TestNetwork();
  let one: DrivenNode;
  let two: DrivenNode;
  let pods: Readonly<Record<PodName, Netns>>;
  let outsider: Netns;
  let listener: ChildProcess | undefined;
  let heard = "";

  before(async () => {
    ({ one, two, pods } = twoNodes(network));
    for (const node of [one, two]) node.bringTo(worldWith(policy), true);
    outsider = network.netns();
    ip(outsider, `link add out type veth peer name out netns ${two.netns.name}`);
    ip(
      outsider,
      `address add ${outside}/24 dev out; link set out up; route add default via 203.0.113.1`,
    );
    ip(two.netns, "address add 203.0.113.1/24 dev out; link set out up");
    const child = inNetns(pods.server.path, () =>
      spawn(
        process.execPath,
        [
          "-e",
          `const socket = require("node:dgram").createSocket("udp4");
           socket.on("message", (bytes) => console.log(bytes.toString()));
           socket.bind(${port}, () => console.log("ready"));`,
        ],
        { stdio: ["ignore", "pipe", "inherit"] },
      ),
    );
    listener = child;
    child.stdout.on("data", (text: Buffer) => {
      heard += text;
    });
    await until(() => heard.includes("ready"));
    await network.serveUdp(pods.server, answering, "answer");
  });

  after(async () => {
    listener?.kill();
    for (const node of [one, two]) node?.driver.close();
    await network[Symbol.asyncDispose]();
  });

  /** As node one would send what its pod `client` says to the server. */
  const inject = (from: Netns, says: string): void => {
    const to = overlayOf(two);
    const payload = wrapped(to, overlayOf(one).mac, says);
    const program = `const socket = require("node:dgram").createSocket("udp4");
      socket.send(Buffer.from("${payload.toString("hex")}", "hex"), ${to.port}, "192.0.2.2", () => socket.close());`;
    inNetns(from.path, () => execFileSync(process.execPath, ["-e", program], { stdio: "ignore" }));
  };

  for (const [who, from] of [
    ["a machine that is no node", () => outsider],
    ["a pod of another node", () => pods.stranger],
    ["a pod of the same node", () => pods.server],
  ] as const) {
    test(`takes nothing from ${who}`, async () => {
      inject(from(), `forged by ${who}`);
      // What comes after it shows that it would have arrived.
      inject(one.netns, `sent after ${who}`);
      await until(() => heard.includes(`sent after ${who}`));
      assert.ok(!heard.includes(`forged by ${who}`), heard);
    });
  }

  test("takes no answer that a pod gives to its port: masquerading may choose that one for anybody's source", async () => {
    assert.match(await askFrom(outsider, 4790, 20_000), /^answer/);
    assert.equal(await askFrom(outsider, overlayOf(two).port, 1_000), "");
  });
});

/** What the server answers a caller at that port within so long. */
async function askFrom(caller: Netns, source: number, patienceMs: number): Promise<string> {
  const program = `const socket = require("node:dgram").createSocket("udp4");
    const end = (text) => { console.log(text); process.exit(); };
    socket.on("message", (bytes) => end(bytes.toString()));
    socket.bind(${source}, () => socket.send("?", ${answering}, "${at.server[0]}"));
    setTimeout(end, ${patienceMs}, "");`;
  const child = inNetns(caller.path, () =>
    spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] }),
  );
  let output = "";
  child.stdout.on("data", (text: Buffer) => {
    output += text;
  });
  await once(child, "close");
  return output.trim();
}

interface EndPoint {
  readonly mac: string;
  readonly vni: number;
  readonly port: number;
}

function overlayOf({ netns }: DrivenNode): EndPoint {
  const [link] = JSON.parse(
    execFileSync("ip", ["-n", netns.name, "-d", "-j", "link", "show", "hdvxlan"], {
      encoding: "utf8",
    }),
  );
  const { id, port: udpPort } = link.linkinfo.info_data;
  return { mac: link.address, vni: id, port: udpPort };
}

/** A UDP datagram of the client's to the server, behind the headers of the overlay (RFC 7348 §5). */
function wrapped(to: EndPoint, from: string, says: string): Buffer {
  const hardware = (mac: string) => Buffer.from(mac.replaceAll(":", ""), "hex");
  const vxlan = Buffer.alloc(8);
  vxlan.writeUInt8(0x08, 0);
  vxlan.writeUInt32BE(to.vni * 2 ** 8, 4);
  const udp = Buffer.alloc(8);
  udp.writeUInt16BE(5555, 0);
  udp.writeUInt16BE(port, 2);
  udp.writeUInt16BE(8 + says.length, 4);
  const header = Buffer.from("4500000000070000401100000000000000000000", "hex");
  header.writeUInt16BE(28 + says.length, 2);
  for (const [index, address] of [at.client[0], at.server[0]].entries()) {
    Buffer.from(address.split(".").map(Number)).copy(header, 12 + 4 * index);
  }
  header.writeUInt16BE(checksum(header), 10);
  const type = Buffer.from("0800", "hex");
  return Buffer.concat([
    ...[vxlan, hardware(to.mac), hardware(from), type, header, udp],
    Buffer.from(says),
  ]);
}

/** RFC 1071's. */
function checksum(header: Buffer): number {
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
