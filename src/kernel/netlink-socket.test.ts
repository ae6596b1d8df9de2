/** What a netlink socket makes of answers that the running kernel gives only on bad days. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { concat, u32 } from "../wire/netlink/attributes.ts";
import {
  encodeMessage,
  type NetlinkRequest,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  viewOf,
} from "../wire/netlink/message.ts";
import { EAGAIN, EBUSY, EINTR, ENOBUFS, SystemCallError } from "./ffi.ts";
import { NETLINK_NETFILTER, NetlinkSocket, type SocketCalls } from "./netlink-socket.ts";

type Answer = Uint8Array | SystemCallError;

/** A kernel that answers the requests, in turn, with the datagrams (or failures to receive) of `answers`. */
function scripted(answers: readonly (readonly ((sequence: number) => Answer)[])[]): SocketCalls {
  let asked = 0;
  let queue: Answer[] = [];
  return {
    socket: () => 3,
    bind: () => undefined,
    setsockopt: () => undefined,
    close: () => undefined,
    sendInBackground: () => undefined,
    send(_fd, bytes) {
      const sequence = viewOf(bytes).getUint32(8, true);
      queue = (answers[asked] ?? []).map((answer) => answer(sequence));
      asked += 1;
    },
    recv(_fd, buffer, flags) {
      const next = queue[0];
      if (next === undefined) throw new SystemCallError(EAGAIN);
      if (next instanceof SystemCallError) {
        queue.shift();
        throw next;
      }
      buffer.set(next.subarray(0, buffer.length));
      if (flags === 0) queue.shift();
      return next.length;
    },
  };
}

const request: NetlinkRequest = { type: 18, flags: 0, payload: new Uint8Array(16) };
const item =
  (value: number, flags = 0) =>
  (sequence: number) =>
    encodeMessage({ type: 16, flags, sequence, payload: u32(1, value) });
const done = (sequence: number) =>
  encodeMessage({ type: NLMSG_DONE, flags: 0, sequence, payload: new Uint8Array(4) });
const outcome = (errno: number) => (sequence: number) => {
  const payload = new Uint8Array(20);
  viewOf(payload).setInt32(0, -errno, true);
  return encodeMessage({ type: NLMSG_ERROR, flags: 0, sequence, payload });
};
const failure = (errno: number) => () => new SystemCallError(errno);
const decode = (payload: Uint8Array): number => viewOf(payload).getUint32(4, true);

const open = (answers: Parameters<typeof scripted>[0], bufferBytes?: number) =>
  new NetlinkSocket(NETLINK_NETFILTER, scripted(answers), bufferBytes);

describe("a netlink socket", () => {
  test("collects a list over several datagrams", () => {
    const socket = open([
      [(sequence) => concat(item(1)(sequence), item(2)(sequence)), item(3), done],
    ]);
    assert.deepEqual(socket.dump(request, decode), [1, 2, 3]);
  });

  test("asks again where the table changed while it was listed", () => {
    const socket = open([
      [item(1), item(2, NLM_F_DUMP_INTR), done],
      [item(1), done],
    ]);
    assert.deepEqual(socket.dump(request, decode), [1]);
  });

  test("gives up on a table that never holds still", () => {
    const answers = Array.from({ length: 20 }, () => [item(1, NLM_F_DUMP_INTR), done]);
    assert.throws(() => open(answers).dump(request, decode), {
      code: "kernel.netlink.interrupted",
      retryable: true,
    });
  });

  test("asks again where the kernel lost part of a list", () => {
    const socket = open([
      [item(1), failure(ENOBUFS), done],
      [item(1), item(2), done],
    ]);
    assert.deepEqual(socket.dump(request, decode), [1, 2]);
  });

  test("goes on after a signal", () => {
    const socket = open([[failure(EINTR), item(1), done]]);
    assert.deepEqual(socket.dump(request, decode), [1]);
  });

  test("takes datagrams larger than its buffer", () => {
    const many = Array.from({ length: 50 }, (_, i) => i);
    const socket = open(
      [[(sequence) => concat(...many.map((value) => item(value)(sequence))), done]],
      32,
    );
    assert.deepEqual(socket.dump(request, decode), many);
  });

  test("ignores what is left over from an earlier exchange", () => {
    const socket = open([[() => outcome(EBUSY)(77), outcome(0)]]);
    socket.request(request);
  });

  test("tells a refusal by its errno", () => {
    assert.throws(() => open([[outcome(EBUSY)]]).request(request), { errno: EBUSY });
  });

  test("does not wait for ever", () => {
    assert.throws(() => open([[]]).request(request), { code: "kernel.netlink.timeout" });
  });
});
