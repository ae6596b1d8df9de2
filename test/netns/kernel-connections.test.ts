/** Tracked connections: whose are forgotten, and where a captured one wanted to go. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { NETLINK_NETFILTER, NetlinkSocket } from "../../src/kernel/netlink-socket.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import { originalDestination } from "../../src/kernel/original-destination.ts";
import { decodeConnection, dumpConnectionsOf } from "../../src/wire/netlink/conntrack.ts";
import { needsRoot, output, readTcp, Scratch } from "./kernel-scratch.ts";

/** A namespace in which 10.96.0.1:80 is a Service whose one endpoint is 127.0.0.5:8080. */
function serviceNetns(scratch: Scratch): string {
  const netns = scratch.netns();
  output(netns, "ip", "route", "add", "10.96.0.0/24", "dev", "lo", "src", "127.0.0.1");
  const rules = `table inet heddle {
    chain output {
      type nat hook output priority -100; policy accept;
      ip daddr 10.96.0.1 tcp dport 80 dnat ip to 127.0.0.5:8080
    }
  }`;
  inNetns(netns, () => execFileSync("nft", ["-f", "-"], { input: rules }));
  return netns;
}

const tracked = (netns: string) =>
  output(netns, "conntrack", "-L")
    .split("\n")
    .filter((line) => line !== "");

describe("forgetting connections", { skip: needsRoot }, () => {
  test("takes those that the address opened or answered, also behind a Service, and no others", async () => {
    using scratch = new Scratch();
    const netns = serviceNetns(scratch);
    const driver = inNetns(netns, openKernelDriver);
    scratch.defer(() => driver.close());
    driver.forgetConnections(new Set(["127.0.0.5"]));
    const listener = createServer((connection) => connection.end("x"));
    inNetns(netns, () => listener.listen(8080));
    scratch.defer(() => listener.close());
    for (const [address, port] of [
      ["10.96.0.1", 80],
      ["127.0.0.5", 8080],
      ["127.0.0.6", 8080],
    ] as const) {
      assert.equal(await readTcp(netns, address, port), "x");
    }
    assert.equal(tracked(netns).length, 3);

    driver.forgetConnections(new Set(["10.96.0.1"]));
    assert.equal(tracked(netns).length, 3, "a Service's address is not an endpoint's");
    driver.forgetConnections(new Set(["127.0.0.5"]));
    assert.equal(tracked(netns).length, 1);
    assert.match(tracked(netns).join(), /dst=127\.0\.0\.6/);
    driver.forgetConnections(new Set(["127.0.0.1"]));
    assert.deepEqual(tracked(netns), []);
  });

  test("may have the kernel filter by either end", async () => {
    using scratch = new Scratch();
    const netns = serviceNetns(scratch);
    const listener = createServer((connection) => connection.end("x"));
    inNetns(netns, () => listener.listen(8080));
    scratch.defer(() => listener.close());
    await readTcp(netns, "10.96.0.1", 80);
    await readTcp(netns, "127.0.0.6", 8080);
    const socket = inNetns(netns, () => new NetlinkSocket(NETLINK_NETFILTER));
    scratch.defer(() => socket.close());
    const count = (end: "original-source" | "reply-source", address: string) =>
      socket.dump(dumpConnectionsOf(end, address), (payload, type) =>
        decodeConnection(type, payload),
      ).length;
    assert.equal(count("original-source", "127.0.0.1"), 2);
    assert.equal(count("reply-source", "127.0.0.5"), 1);
    assert.equal(count("reply-source", "127.0.0.9"), 0);
  });
});

describe("the original destination", { skip: needsRoot }, () => {
  test("of a captured connection is where it wanted to go", async () => {
    using scratch = new Scratch();
    const netns = serviceNetns(scratch);
    const seen = await acceptOne(scratch, netns, "10.96.0.1", 80);
    assert.deepEqual(seen, { address: "10.96.0.1", port: 80 });
  });

  test("of a connection that nothing captured is where it went, or unknown", async () => {
    using scratch = new Scratch();
    assert.deepEqual(await acceptOne(scratch, serviceNetns(scratch), "127.0.0.5", 8080), {
      address: "127.0.0.5",
      port: 8080,
    });
    assert.equal(await acceptOne(scratch, scratch.netns(), "127.0.0.5", 8080), undefined);
  });

  async function acceptOne(scratch: Scratch, netns: string, address: string, port: number) {
    const listener = createServer();
    inNetns(netns, () => listener.listen(8080));
    scratch.defer(() => listener.close());
    const reading = readTcp(netns, address, port);
    const [connection]: Socket[] = await once(listener, "connection", {
      signal: AbortSignal.timeout(5000),
    });
    const destination = originalDestination(fdOf(connection));
    connection?.end("x");
    await reading;
    return destination;
  }
});

describe("a process that gave up root", { skip: needsRoot }, () => {
  test("is the user, in no other group, without capabilities", () => {
    const module = new URL("../../src/kernel/privileges.ts", import.meta.url);
    const script = `
      import { readFileSync } from "node:fs";
      import { dropPrivileges } from ${JSON.stringify(module.href)};
      dropPrivileges(1337, 1337);
      console.log(readFileSync("/proc/self/status", "latin1"));`;
    const status = execFileSync(process.execPath, ["--input-type=module", "-e", script]).toString();
    assert.match(status, /^Uid:\t1337\t1337\t1337\t1337$/m);
    assert.match(status, /^Gid:\t1337\t1337\t1337\t1337$/m);
    assert.match(status, /^Groups:\t1337 $/m);
    assert.match(status, /^CapEff:\t0+$/m);
    assert.match(status, /^CapPrm:\t0+$/m);
  });
});

function fdOf(socket: Socket | undefined): number {
  const handle: unknown = socket === undefined ? undefined : Reflect.get(socket, "_handle");
  const fd: unknown =
    typeof handle === "object" && handle !== null ? Reflect.get(handle, "fd") : -1;
  return typeof fd === "number" ? fd : -1;
}
