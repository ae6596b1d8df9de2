/** Visiting, making and deleting network namespaces. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  createNetns,
  deleteNetns,
  inNetns,
  netnsCookie,
  netnsInode,
} from "../../src/kernel/netns.ts";
import { needsRoot, readTcp, Scratch } from "./kernel-scratch.ts";

const here = () => readlinkSync("/proc/thread-self/ns/net");

describe("a visit to a network namespace", { skip: needsRoot }, () => {
  test("runs there, returns what ran, and comes home", () => {
    using scratch = new Scratch();
    const path = scratch.netns();
    const home = here();
    assert.equal(inNetns(path, here), `net:[${netnsInode(path)}]`);
    assert.equal(here(), home);
  });

  test("comes home when what ran throws", () => {
    using scratch = new Scratch();
    const path = scratch.netns();
    const home = here();
    assert.throws(
      () =>
        inNetns(path, () => {
          throw new RangeError("inside");
        }),
      RangeError,
    );
    assert.equal(here(), home);
  });

  test("may hold another visit", () => {
    using scratch = new Scratch();
    const [outer, inner] = [scratch.netns(), scratch.netns()];
    inNetns(outer, () => {
      const between = here();
      assert.equal(inNetns(inner, here), `net:[${netnsInode(inner)}]`);
      assert.equal(here(), between);
    });
  });

  test("starts processes and listeners that stay there", async () => {
    using scratch = new Scratch();
    const [server, client] = [scratch.netns(), scratch.netns()];
    const listener = createServer((connection) => connection.end("hello"));
    inNetns(server, () => listener.listen(8080));
    scratch.defer(() => listener.close());
    assert.equal(await readTcp(server, "127.0.0.1", 8080), "hello");
    assert.equal(await readTcp(client, "127.0.0.1", 8080), "");
    const child = inNetns(server, () => execFileSync("readlink", ["/proc/self/ns/net"]));
    assert.equal(child.toString().trim(), `net:[${netnsInode(server)}]`);
  });

  test("refuses a function that returns a promise", () => {
    using scratch = new Scratch();
    const path = scratch.netns();
    assert.throws(() => inNetns(path, async () => undefined), {
      code: "kernel.netns.asynchronous",
    });
  });

  test("refuses what is not a network namespace", () => {
    const home = here();
    assert.throws(() => inNetns("/run/netns/heddle-test-no-such", here), {
      code: "kernel.netns.absent",
    });
    assert.throws(() => inNetns("/etc/hostname", here), { code: "kernel.netns.absent" });
    assert.equal(here(), home);
  });
});

describe("a named network namespace", { skip: needsRoot }, () => {
  test("is one that ip knows, at any path, until it is deleted", () => {
    using scratch = new Scratch();
    const path = scratch.unmade();
    const elsewhere = join(tmpdir(), `heddle-test-${process.pid}`, "netns");
    scratch.defer(() => deleteNetns(elsewhere));
    createNetns(path);
    createNetns(elsewhere);
    assert.equal(inNetns(path, here), `net:[${netnsInode(path)}]`);
    assert.notEqual(netnsInode(path), netnsInode(elsewhere));
    assert.match(
      execFileSync("ip", ["netns"]).toString(),
      new RegExp(path.split("/").at(-1) ?? ""),
    );
    deleteNetns(path);
    assert.equal(netnsInode(path), undefined);
    deleteNetns(path);
  });

  test("is told by its cookie from every later one at its path", () => {
    using scratch = new Scratch();
    const path = scratch.unmade();
    const cookies = new Set<string | undefined>();
    const times = 20;
    for (let i = 0; i < times; i++) {
      createNetns(path);
      cookies.add(netnsCookie(path));
      deleteNetns(path);
    }
    assert.equal(cookies.size, times);
    assert.ok(!cookies.has(undefined));
  });

  test("is not made over something that exists", () => {
    using scratch = new Scratch();
    const path = scratch.netns();
    const inode = netnsInode(path);
    assert.throws(() => createNetns(path), { code: "kernel.netns.create" });
    assert.equal(netnsInode(path), inode);
  });

  test("that was left half made is no namespace, and can be deleted", () => {
    using scratch = new Scratch();
    const path = scratch.unmade();
    writeFileSync(path, "");
    assert.equal(netnsInode(path), undefined);
    deleteNetns(path);
    createNetns(path);
    assert.notEqual(netnsInode(path), undefined);
  });
});
