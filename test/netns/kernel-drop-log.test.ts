/** Packets that a rule logs and drops, as the agent hears of them from the running kernel. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { dropLogGroup, logAndDrop } from "../../src/core/dataplane/names.ts";
import { type DropLog, openDropLog } from "../../src/kernel/drop-log.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import type { LoggedPacket } from "../../src/wire/netlink/nflog.ts";
import { needsRoot, output, Scratch } from "./kernel-scratch.ts";

function refusingNetns(scratch: Scratch): string {
  const netns = scratch.netns();
  const drop = logAndDrop({ kind: "policy", direction: "egress", identity: 0xab });
  const rules = `table inet heddle {
    chain output {
      type filter hook output priority 0; policy accept;
      ip daddr 127.0.0.9 ${drop}
      ip6 daddr ::1 ${drop}
    }
  }`;
  inNetns(netns, () => execFileSync("nft", ["-f", "-"], { input: rules }));
  return netns;
}

function send(netns: string, address: string, port: number, count = 1): void {
  const script = `for i in $(seq ${count}); do echo x > /dev/udp/${address}/${port}; done 2>/dev/null; true`;
  output(netns, "bash", "-c", script);
}

async function read(log: DropLog, count: number): Promise<LoggedPacket[]> {
  const packets: LoggedPacket[] = [];
  for (let tries = 0; packets.length < count && tries < 200; tries++) {
    packets.push(...log.read());
    await delay(20);
  }
  return packets;
}

describe("the log of refused packets", { skip: needsRoot }, () => {
  test("gives each with its ends and the rule's prefix, of both families", async () => {
    using scratch = new Scratch();
    const netns = refusingNetns(scratch);
    const log = inNetns(netns, () => openDropLog(dropLogGroup));
    scratch.defer(() => log.close());
    assert.deepEqual(log.read(), [], "nothing was refused yet, and nobody waits");
    send(netns, "127.0.0.9", 5353);
    send(netns, "127.0.0.8", 5353);
    send(netns, "::1", 99);
    const common = { prefix: "heddle deny egress 0000ab", protocol: "udp" };
    assert.deepEqual(await read(log, 2), [
      { ...common, source: "127.0.0.1", destination: "127.0.0.9", port: 5353 },
      { ...common, source: "::1", destination: "::1", port: 99 },
    ]);
  });

  test("hands out a burst, and goes on after one that was too much", async () => {
    using scratch = new Scratch();
    const netns = refusingNetns(scratch);
    const log = inNetns(netns, () => openDropLog(dropLogGroup));
    scratch.defer(() => log.close());
    send(netns, "127.0.0.9", 1, 500);
    assert.equal((await read(log, 500)).length, 500);
    send(netns, "127.0.0.9", 2, 12_000);
    await read(log, 1);
    send(netns, "127.0.0.9", 3);
    // The flood's last batch comes when the kernel's timer ends it: with this packet, or before it.
    const isHeard = () => log.read().some(({ port }) => port === 3);
    for (let tries = 0; tries < 500; tries++) {
      if (isHeard()) return;
      await delay(20);
    }
    assert.fail("nothing is heard of what was refused after the flood");
  });

  test("has one reader, and says so to the next", () => {
    using scratch = new Scratch();
    const netns = refusingNetns(scratch);
    const log = inNetns(netns, () => openDropLog(dropLogGroup));
    scratch.defer(() => log.close());
    assert.throws(
      () => inNetns(netns, () => openDropLog(dropLogGroup)),
      /another program reads it/,
    );
  });
});
