/** Sockets that are made in namespaces by a thread that stays at home: where they come to be, and that it is home again. */

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readlinkSync } from "node:fs";
import { connect, createServer } from "node:net";
import { describe, test } from "node:test";
import { inNetns } from "../../src/kernel/netns.ts";
import { socketsByNetns } from "../../src/kernel/pod-sockets.ts";
import { queryServer } from "../../src/rpc/dns-query.ts";
import { decodeMessage } from "../../src/wire/dns/decode.ts";
import { encodeMessage } from "../../src/wire/dns/encode.ts";
import { classInternet, recordTypes } from "../../src/wire/dns/message.ts";
import { needsRoot, Scratch } from "./kernel-scratch.ts";

const port = 5_353;
const home = (): string => readlinkSync("/proc/thread-self/ns/net");

describe("sockets of a pod's namespace", { skip: needsRoot }, () => {
  test("connect and listen there, many namespaces in turn, and the thread is home after each", async () => {
    using scratch = new Scratch();
    const socketsOf = socketsByNetns();
    const before = home();
    const names = ["a", "b", "c"];
    const pods = names.map(() => socketsOf(scratch.netns()));
    for (const [at, pod] of pods.entries()) {
      const server = createServer((socket) => socket.end(names[at] ?? ""));
      const fd = pod.bind("127.0.0.1", port);
      await once(server.listen({ fd }), "listening");
      scratch.defer(() => server.close());
    }
    // All at once, so that the ways in and out stand in one queue.
    const answers = Array.from({ length: 12 }, async (_, i) => {
      const pod = pods[i % pods.length];
      assert(pod !== undefined);
      const socket = pod.connecting(() => connect({ host: "127.0.0.1", port }));
      const [bytes] = (await once(socket, "data")) as [Buffer];
      return bytes.toString();
    });
    assert.equal(home(), before);
    assert.deepEqual(
      await Promise.all(answers),
      Array.from({ length: 12 }, (_, i) => names[i % names.length]),
    );
    assert.equal(home(), before);
    for (const pod of pods) pod.close();
  });

  test("ask the name server that answers there, and no other's", async () => {
    using scratch = new Scratch();
    const socketsOf = socketsByNetns();
    const [with_, without] = [socketsOf(scratch.netns()), socketsOf(scratch.netns())];
    const server = createSocket("udp4", (bytes, { port: from, address }) => {
      const answer = { ...decodeMessage(bytes), isResponse: true };
      server.send(encodeMessage(answer), from, address);
    });
    with_.connecting(() => server.bind(port, "127.0.0.1"));
    await once(server, "listening");
    scratch.defer(() => server.close());
    const question = { name: "web.shop", type: recordTypes.A, class: classInternet };
    const ask = (pod: typeof with_) =>
      queryServer({ address: "127.0.0.1", port, opening: pod.connecting }, question, 5_000);
    assert.equal((await ask(with_)).isResponse, true);
    await assert.rejects(ask(without), /ECONNREFUSED/);
    for (const pod of [with_, without]) pod.close();
  });

  test("that cannot be bound say where and why", async () => {
    using scratch = new Scratch();
    const netns = scratch.netns();
    const pod = socketsByNetns()(netns);
    const server = createServer();
    inNetns(netns, () => server.listen(port));
    if (!server.listening) await once(server, "listening");
    scratch.defer(() => server.close());
    assert.throws(() => pod.bind("0.0.0.0", port), /bind 0\.0\.0\.0:5353 in \S+\/heddle-test-/);
    pod.close();
  });
});
