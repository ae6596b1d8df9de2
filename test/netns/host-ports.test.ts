/**
 * Published ports, asked for as container runtimes do, with real packets from everywhere: another machine, the node by
 * its address and by its loopback, another pod, the pod itself.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { after, before, describe, test } from "node:test";
import { inNetns } from "../../src/kernel/netns.ts";
import {
  addressIn,
  CniNode,
  nodeAddress,
  outsideAddress,
  run,
  skipWithoutExecutable,
} from "./cni-node.ts";

const ownNetns = "/proc/self/ns/net";
const nodeAddress6 = "2001:db8::1";
const outsideAddress6 = "2001:db8::9";

describe("a host port", { skip: skipWithoutExecutable }, () => {
  const servers: Server[] = [];
  let machine: CniNode;

  before(async () => {
    machine = await CniNode.start({
      podCidr6: "fd00:244::/64",
      addresses: [nodeAddress, nodeAddress6],
    });
    run("ip", "address", "add", `${nodeAddress6}/64`, "dev", "uplink", "nodad");
    inNetns(machine.outside, () =>
      run("ip", "address", "add", `${outsideAddress6}/64`, "dev", "eth0", "nodad"),
    );
    machine.node.showPods([{ name: "web" }, { name: "db" }]);
  });
  after(async () => {
    for (const server of servers) server.close();
    await machine[Symbol.asyncDispose]();
  });

  test("leads to the pod from everywhere, and nowhere once the pod is gone", async () => {
    const web = machine.netns();
    const db = machine.netns();
    const config = published([{ hostPort: 8080, containerPort: 80, protocol: "tcp" }]);
    const address = addressIn(await machine.add({ id: "web", netns: web, config }));
    const client = addressIn(await machine.add({ id: "db", pod: "db", netns: db }));
    await serve(web, 80);
    assert.equal(await ask(machine.outside, nodeAddress, 8080), outsideAddress);
    assert.equal(await ask(ownNetns, nodeAddress, 8080), nodeAddress);
    assert.equal(await ask(ownNetns, "127.0.0.1", 8080), "169.254.1.1");
    assert.equal(await ask(db, nodeAddress, 8080), client);
    assert.equal(await ask(web, nodeAddress, 8080), "169.254.1.1", "the pod itself");
    await machine.del("web");
    assert.equal(await ask(machine.outside, nodeAddress, 8080), "nobody");
    assert.equal(await ask(ownNetns, "127.0.0.1", 8080), "nobody");
    assert.equal(run("conntrack", "-L", "-r", address).trim(), "");
    await machine.del("db");
  });

  test("of one address is not there on another", async () => {
    const web = machine.netns();
    const ports = [{ HostPort: 8081, ContainerPort: 80, Protocol: "TCP", HostIP: "127.0.0.1" }];
    await machine.add({ id: "web", netns: web, config: published(ports) });
    await serve(web, 80);
    assert.equal(await ask(ownNetns, "127.0.0.1", 8081), "169.254.1.1");
    assert.equal(await ask(ownNetns, nodeAddress, 8081), "nobody");
    assert.equal(await ask(machine.outside, nodeAddress, 8081), "nobody");
    await machine.del("web");
  });

  test("leads to the pod by IPv6 as by IPv4", async () => {
    const addressing = { pools: ["default", "six"], addresses: [] };
    machine.node.showPods([{ name: "web", addressing }, { name: "db" }]);
    const web = machine.netns();
    const config = published([{ hostPort: 8084, containerPort: 80 }]);
    const { ips } = await machine.add({ id: "web", netns: web, config });
    assert.equal(ips.length, 2);
    await serve(web, 80);
    assert.equal(await ask(machine.outside, nodeAddress6, 8084), outsideAddress6);
    assert.equal(await ask(machine.outside, nodeAddress, 8084), outsideAddress);
    assert.equal(await ask(ownNetns, nodeAddress6, 8084), nodeAddress6);
    await machine.del("web");
    assert.equal(await ask(machine.outside, nodeAddress6, 8084), "nobody");
    machine.node.showPods([{ name: "web" }, { name: "db" }]);
  });

  test("of SCTP leads the first packet of an association to the pod's own port", async () => {
    const web = machine.netns();
    const config = published([{ hostPort: 8085, containerPort: 38_412, protocol: "sctp" }]);
    const address = addressIn(await machine.add({ id: "web", netns: web, config }));
    const init = sctpInit(4_000, 8_085);
    const listening = perl(
      web,
      `socket(S, PF_INET, SOCK_RAW, 132); $| = 1; print "ready\n"; recv(S, $b, 2000, 0); print unpack("H*", $b), "\n";`,
    );
    await once(listening.stdout, "data");
    const heard = once(listening.stdout, "data");
    perl(
      machine.outside,
      `socket(S, PF_INET, SOCK_RAW, 132); send(S, pack("H*", "${init.toString("hex")}"), 0, pack_sockaddr_in(0, inet_aton("${nodeAddress}")));`,
    );
    const packet = Buffer.from(String((await heard)[0]).trim(), "hex");
    const [source, destination] = [packet.subarray(12, 16), packet.subarray(16, 20)];
    assert.deepEqual([source.join("."), destination.join(".")], [outsideAddress, address]);
    const received = packet.subarray(20);
    assert.deepEqual([received.readUInt16BE(0), received.readUInt16BE(2)], [4_000, 38_412]);
    assert.deepEqual(received, sctpInit(4_000, 38_412), "with the checksum of its new port");
    await machine.del("web");
  });

  test("takes over a UDP client that never pauses, at its pod's start and at its end", async () => {
    const config = published([{ hostPort: 5300, containerPort: 53, protocol: "udp" }]);
    await using client = await UdpClient.start(machine.outside, nodeAddress, 5300);
    for (const id of ["first", "second"]) {
      const netns = machine.netns();
      await machine.add({ id, netns, config });
      await using _server = await serveUdp(netns, 53, id);
      await client.hears(id);
      await machine.del(id);
    }
  });

  test("that another pod has is refused, saying whose it is, and stays that pod's", async () => {
    const config = published([{ hostPort: 9000, containerPort: 80, protocol: "tcp" }]);
    await machine.add({ id: "first", netns: machine.netns(), config });
    const before = await machine.node.status();
    const error = await machine.refused({ id: "second", netns: machine.netns(), config });
    assert.equal(error.code, 102);
    assert.match(error.msg, /host port tcp\/9000: pod shop\/web \(container first\) has it/);
    assert.deepEqual((await machine.node.status()).attachments, before.attachments);
    const other = published([{ hostPort: 9000, containerPort: 80, protocol: "udp" }]);
    await machine.add({ id: "second", netns: machine.netns(), config: other });
    for (const id of ["first", "second"]) await machine.del(id);
  });

  test("survives the agent, whose successor still knows whose it is", async () => {
    const web = machine.netns();
    const config = published([{ hostPort: 8082, containerPort: 80 }]);
    await machine.add({ id: "web", netns: web, config });
    await serve(web, 80);
    await machine.node.restart();
    machine.node.showPods([{ name: "web" }, { name: "db" }]);
    assert.equal(await ask(machine.outside, nodeAddress, 8082), outsideAddress);
    const second = await machine.refused({ id: "second", netns: machine.netns(), config });
    assert.equal(second.code, 102);
    await machine.del("web");
  });

  test("opens no way from a pod to what listens on the node's loopback", async () => {
    const web = machine.netns();
    const config = published([{ hostPort: 8083, containerPort: 80 }]);
    await machine.add({ id: "web", netns: web, config });
    await serve(ownNetns, 7777);
    inNetns(web, () => {
      run(
        "ip",
        "route",
        "add",
        "127.9.9.9/32",
        "via",
        "169.254.1.1",
        "dev",
        "eth0",
        "table",
        "main",
      );
      run("ip", "route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local");
      run("sysctl", "-qw", "net.ipv4.conf.eth0.route_localnet=1");
    });
    assert.equal(await ask(web, "127.9.9.9", 7777), "nobody");
    await machine.del("web");
  });

  /** A TCP server that answers each connection with its client's address. */
  async function serve(netns: string, port: number): Promise<void> {
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.end((socket.remoteAddress ?? "").replace("::ffff:", ""));
    });
    servers.push(server);
    inNetns(netns, () => {
      server.listen(port);
    });
    if (!server.listening) await once(server, "listening");
  }
});

function published(portMappings: readonly object[]): object {
  return { capabilities: { portMappings: true }, runtimeConfig: { portMappings } };
}

/** What the server says of the connection's source; `nobody` where none answers. */
async function ask(from: string, address: string, port: number): Promise<string> {
  const child = inNetns(from, () =>
    spawn("timeout", ["5", "bash", "-c", `cat < /dev/tcp/${address}/${port}`], {
      stdio: ["ignore", "pipe", "ignore"],
    }),
  );
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  await once(child, "close");
  return output === "" ? "nobody" : output;
}

async function serveUdp(netns: string, port: number, says: string): Promise<AsyncDisposable> {
  return udpProcess(
    netns,
    `socket.on("message", (_, { address, port }) => socket.send("${says}", port, address));
     socket.bind(${port}, () => console.log("ready"));`,
  );
}

/** Sends from one port, twenty times a second, whether it is answered or not. */
class UdpClient implements AsyncDisposable {
  readonly #process: Awaited<ReturnType<typeof udpProcess>>;

  private constructor(process: Awaited<ReturnType<typeof udpProcess>>) {
    this.#process = process;
  }

  static async start(netns: string, address: string, port: number): Promise<UdpClient> {
    const program = `
      socket.on("message", (text) => console.log(String(text)));
      socket.on("error", () => {});
      socket.bind(4000, () => {
        setInterval(() => socket.send("?", ${port}, "${address}"), 50);
        console.log("ready");
      });`;
    return new UdpClient(await udpProcess(netns, program));
  }

  async hears(answer: string): Promise<void> {
    const deadline = AbortSignal.timeout(5_000);
    for (;;) {
      const [text] = await once(this.#process.stdout, "data", { signal: deadline });
      if (String(text).trim().split("\n").includes(answer)) return;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]();
  }
}

/** The kernel need not have SCTP to pass it on, so what is sent and read is packets. */
function perl(netns: string, program: string) {
  return inNetns(netns, () =>
    spawn("perl", ["-MSocket", "-e", program], {
      stdio: ["ignore", "pipe", "inherit"],
      timeout: 5_000,
    }),
  );
}

/** RFC 9260 §3.3.2: an INIT that asks for one stream each way. */
function sctpInit(from: number, to: number): Buffer {
  const packet = Buffer.alloc(32);
  packet.writeUInt16BE(from, 0);
  packet.writeUInt16BE(to, 2);
  packet.writeUInt8(1, 12);
  packet.writeUInt16BE(20, 14);
  packet.writeUInt32BE(7, 16); // initiate tag
  packet.writeUInt32BE(65_536, 20); // receiver window
  packet.writeUInt32BE(0x0001_0001, 24); // streams
  packet.writeUInt32LE(crc32c(packet), 8);
  return packet;
}

/** Castagnoli's, bit by bit. */
function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

/** Node binds UDP sockets too late to borrow a namespace, so each is in a process of its own. */
async function udpProcess(netns: string, program: string) {
  const head = `const socket = require("node:dgram").createSocket("udp4");`;
  const child = inNetns(netns, () =>
    spawn(process.execPath, ["-e", head + program], { stdio: ["ignore", "pipe", "inherit"] }),
  );
  await once(child.stdout, "data");
  return {
    stdout: child.stdout,
    async [Symbol.asyncDispose]() {
      const ended = once(child, "exit");
      child.kill();
      await ended;
    },
  };
}
