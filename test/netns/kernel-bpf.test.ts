/** The loader of eBPF programs, on the running kernel: what it loads counts packets, connections and messages. */

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  appendFileSync,
  closeSync,
  cpSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  attachedTo,
  attachSockOps,
  attachToLink,
  attachToSockets,
  detachFromLink,
  programId,
} from "../../src/kernel/bpf/attach.ts";
import { readCompiled } from "../../src/kernel/bpf/compiled.ts";
import { loadBpfObject, loadCompiled } from "../../src/kernel/bpf/object.ts";
import { missingBpf } from "../../src/kernel/features.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import { linksJson, needsRoot, output, Scratch } from "./kernel-scratch.ts";

const loopback = { linkIndex: 1, direction: "ingress" } as const;
const scripts = join(import.meta.dirname, "../../scripts");

const whyNot = needsRoot || (spawnSync("clang", ["--version"]).error ? "needs clang" : false);

describe("an eBPF program", { skip: whyNot }, () => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-bpf-"));
  let bytes: Uint8Array;

  before(() => {
    const source = join(import.meta.dirname, "bpf");
    execFileSync("sh", [join(scripts, "bpf.sh"), source, folder], { cwd: join(scripts, "..") });
    bytes = readFileSync(join(folder, "loader.o"));
  });
  after(() => rmSync(folder, { recursive: true }));

  const load = (...constants: readonly number[]) =>
    loadBpfObject("loader", bytes, {
      constants: new Uint8Array(Uint32Array.from(constants).buffer),
    });

  test("is something that this machine can run", () => {
    assert.equal(missingBpf(), undefined);
  });

  test("sees the packets of a link, with the constants it was given", () => {
    using scratch = new Scratch();
    const netns = scratch.netns();
    using object = load(10, 0);
    inNetns(netns, () => attachToLink(loopback, "count_packets", object.program("count_packets")));
    output(netns, "ping", "-c1", "127.0.0.1");
    assert.equal(numberOf(object.map("counts").lookup(word(1))), 20);
  });

  test("goes on after its loader has closed it, and is replaced without a gap by the next", () => {
    using scratch = new Scratch();
    const netns = scratch.netns();
    const listed = () => inNetns(netns, () => attachedTo(loopback, "count_packets"));
    let first: number;
    {
      using object = load(1, 1);
      const program = object.program("count_packets");
      first = programId(program);
      inNetns(netns, () => attachToLink(loopback, "count_packets", program));
    }
    assert.deepEqual(listed(), [first]);
    assert.throws(() => output(netns, "ping", "-c1", "-W1", "127.0.0.1"), "it drops");

    using next = load(1, 0);
    const program = next.program("count_packets");
    inNetns(netns, () => attachToLink(loopback, "count_packets", program));
    inNetns(netns, () => attachToLink(loopback, "count_packets", program));
    assert.deepEqual(listed(), [programId(program)]);
    output(netns, "ping", "-c1", "127.0.0.1");
    inNetns(netns, () => detachFromLink(loopback, "count_packets"));
    inNetns(netns, () => detachFromLink(loopback, "count_packets"));
    assert.deepEqual(listed(), []);
  });

  test("of another name on the same link is left alone", () => {
    using scratch = new Scratch();
    const netns = scratch.netns();
    using object = load(1, 0);
    const program = object.program("count_packets");
    inNetns(netns, () => attachToLink(loopback, "count_packets", program));
    inNetns(netns, () => detachFromLink(loopback, "somebody_else"));
    assert.equal(inNetns(netns, () => attachedTo(loopback, "count_packets")).length, 1);
  });

  test("goes with its link", () => {
    using scratch = new Scratch();
    const netns = scratch.netns();
    output(netns, "ip", "link", "add", "one", "type", "veth", "peer", "name", "two");
    const linkIndex = linksJson(netns).find(({ ifname }) => ifname === "one")?.ifindex ?? 0;
    using object = load(1, 0);
    const hook = { linkIndex, direction: "egress" } as const;
    inNetns(netns, () => attachToLink(hook, "count_packets", object.program("count_packets")));
    output(netns, "ip", "link", "delete", "one");
    assert.deepEqual(
      inNetns(netns, () => attachedTo(hook, "count_packets")),
      [],
    );
    const again = object.program("count_packets");
    assert.throws(() => inNetns(netns, () => attachToLink(hook, "count_packets", again)), {
      code: "kernel.bpf.attach",
    });
  });

  test("of a cgroup ends with its holder; of sockets it is attached to their map", () => {
    using object = load(1, 0);
    attachToSockets(object.map("sockets").fd, object.program("count_messages"));
    const cgroup = openSync(cgroupRoot(), "r");
    closeSync(attachSockOps(cgroup, object.program("count_connections")));
    closeSync(cgroup);
  });

  test("shares maps with its successor", () => {
    using first = load(1, 0);
    first.map("counts").set(word(7), long(70));
    const reuse = new Map([["counts", first.map("counts")]]);
    using second = loadBpfObject("loader", bytes, { reuse });
    assert.equal(numberOf(second.map("counts").lookup(word(7))), 70);
  });

  test("has maps that take many elements at once, list them, and forget them", () => {
    using object = load(1, 0);
    const map = object.map("counts");
    map.setAll([1, 2, 3].map((key) => [word(key), long(key * 10)] as const));
    assert.deepEqual(map.keys().map(numberOf).sort(), [1, 2, 3]);
    map.delete(word(2));
    map.delete(word(2));
    assert.equal(map.lookup(word(2)), undefined);
    assert.equal(numberOf(map.lookup(word(3))), 30);
    assert.throws(() => map.set(word(4), word(4)), /want 4 bytes of key and 8 of value/);
    const tooMany = Array.from({ length: 20 }, (_, key) => [word(key), long(key)] as const);
    assert.throws(() => map.setAll(tooMany), { code: "kernel.bpf.map" });
  });

  test("that another release's set-up left is refused, though it would load", () => {
    const sources = mkdtempSync(join(tmpdir(), "heddle-bpf-"));
    cpSync(join(import.meta.dirname, "bpf"), sources, { recursive: true });
    const places = { sources, compiled: folder, compiler: join(scripts, "bpf.sh") };
    assert.deepEqual(Buffer.from(readCompiled("loader", places)), Buffer.from(bytes));
    appendFileSync(join(sources, "loader.bpf.c"), "/* the next release */\n");
    assert.throws(() => readCompiled("loader", places), {
      code: "kernel.bpf.outdated",
      message: /loader\.o was compiled from other sources: want [0-9a-f]{32}, found [0-9a-f]{32}/,
    });
    rmSync(sources, { recursive: true });
  });

  test("that was never compiled is told from one that the kernel refuses", () => {
    assert.throws(() => loadCompiled("nobody-wrote-this"), { code: "kernel.bpf.uncompiled" });
    assert.throws(() => loadBpfObject("text", Buffer.from("no program")), {
      code: "kernel.bpf.refused",
    });
  });
});

function cgroupRoot(): string {
  const mounts = execFileSync("findmnt", ["-n", "-o", "TARGET", "-t", "cgroup2"], {
    encoding: "utf8",
  });
  const [root = ""] = mounts.split("\n");
  return root;
}

function word(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

function long(value: number): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
}

function numberOf(bytes: Uint8Array | undefined): number {
  const [low = Number.NaN] = new Uint32Array(bytes?.slice(0, 4).buffer ?? new ArrayBuffer(0));
  return low;
}
