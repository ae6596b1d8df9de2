/**
 * One netlink socket: a request and its acknowledgement, a dump and its end.
 *
 * The kernel handles a request inside `send`, so the answer is there when `recv` asks for it, and everything is
 * synchronous. A socket stays in the namespace in which it was opened, wherever the thread goes later.
 *
 * A dump may be overrun (ENOBUFS) or made inconsistent by a change while it ran (NLM_F_DUMP_INTR): it is read to its
 * end and asked again, and what was read before is thrown away. Datagrams larger than the buffer grow the buffer.
 */

import { MeshError } from "../base/error.ts";
import { atOnce, type InParts } from "../base/parts.ts";
import {
  decodeMessages,
  decodeOutcome,
  encodeMessage,
  type NetlinkMessage,
  type NetlinkRequest,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
} from "../wire/netlink/message.ts";
import {
  AF_NETLINK,
  EAGAIN,
  EINTR,
  ENOBUFS,
  type Libc,
  libc,
  MSG_DONTWAIT,
  MSG_PEEK,
  MSG_TRUNC,
  SOCK_RAW_CLOEXEC,
  SOL_NETLINK,
  SOL_SOCKET,
  SystemCallError,
} from "./ffi.ts";

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_DROP_MEMBERSHIP = 2;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const SO_RCVTIMEO = 20;
const SO_RCVBUFFORCE = 33;
const NLMSG_MIN_TYPE = 16;

const answerSeconds = 5; // an answer is there at once; this only keeps a kernel bug from hanging the agent
const maxTries = 10; // a table that changes during ten dumps in a row is not going to hold still
const usualBufferBytes = 64 * 1024; // dumps come in datagrams of at most 32 kB

/** What a socket needs of libc; tests bring their own. */
export type SocketCalls = Pick<
  Libc,
  "socket" | "bind" | "setsockopt" | "send" | "sendInBackground" | "recv" | "close"
>;

type Decode<T> = (payload: Uint8Array, type: number) => T | undefined;

export class NetlinkSocket {
  readonly #fd: number;
  #sequence = 0;
  #buffer: Uint8Array;
  readonly #libc: SocketCalls;

  /** Opens a socket of a netlink family in the thread's present namespace. */
  constructor(family: number, calls: SocketCalls = libc(), bufferBytes: number = usualBufferBytes) {
    this.#libc = calls;
    this.#buffer = new Uint8Array(bufferBytes);
    try {
      this.#fd = this.#libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, family);
    } catch (cause) {
      throw new MeshError("kernel.netlink.open", `open netlink socket of family ${family}`, {
        cause,
        fault: "host",
      });
    }
    const address = new Uint8Array(12);
    address[0] = AF_NETLINK;
    this.#libc.bind(this.#fd, address);
    const timeout = new Uint8Array(16);
    timeout[0] = answerSeconds;
    this.#libc.setsockopt(this.#fd, SOL_SOCKET, SO_RCVTIMEO, timeout);
    const on = Uint8Array.of(1, 0, 0, 0);
    this.#libc.setsockopt(this.#fd, SOL_NETLINK, NETLINK_EXT_ACK, on);
    if (family === NETLINK_ROUTE) {
      // Makes the kernel apply the filters of dump requests. Nobody minds where it is too old for that.
      this.#libc.setsockopt(this.#fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, on);
    }
  }

  /** Has the kernel do something; throws SystemCallError with its errno and words where it refuses. */
  request(request: NetlinkRequest): void {
    atOnce(this.#exchange(request, NLM_F_ACK, () => undefined));
  }

  /**
   * Has the kernel do something that takes long, on another thread, and closes the socket when it is done. Whether
   * it was done is not told here.
   */
  requestInBackgroundAndClose(request: NetlinkRequest, done: () => void): void {
    const bytes = encodeMessage({ ...request, flags: request.flags | NLM_F_REQUEST, sequence: 1 });
    this.#libc.sendInBackground(this.#fd, bytes, () => {
      this.close();
      done();
    });
  }

  /** Asks for one object. */
  get<T>(request: NetlinkRequest, decode: Decode<T>): T | undefined {
    return atOnce(this.#exchange(request, NLM_F_ACK, decode)).values[0];
  }

  /** Asks for a list; what `decode` answers undefined to is left out. */
  dump<T>(request: NetlinkRequest, decode: Decode<T>): T[] {
    return atOnce(this.dumpInParts(request, decode));
  }

  /** The same, a datagram at a time. Nothing else may use the socket meanwhile. */
  *dumpInParts<T>(request: NetlinkRequest, decode: Decode<T>): InParts<T[]> {
    for (let tries = 0; tries < maxTries; tries += 1) {
      const { values, complete } = yield* this.#exchange(request, NLM_F_DUMP, decode);
      if (complete) return values;
    }
    throw new MeshError(
      "kernel.netlink.interrupted",
      `list kernel objects: the table changed during each of ${maxTries} tries`,
      { fault: "host", retryable: true },
    );
  }

  /**
   * What the kernel has sent unasked, of at most `most` datagrams; never waits. A datagram that does not add up, and
   * what was lost because the buffer was full, is passed over, and `lost` called.
   */
  drain<T>(most: number, decode: Decode<T>, lost: () => void = () => {}): T[] {
    const values: T[] = [];
    for (let datagrams = 0; datagrams < most; datagrams++) {
      let length: number;
      try {
        length = this.#libc.recv(this.#fd, this.#buffer, MSG_DONTWAIT);
      } catch (error) {
        if (!(error instanceof SystemCallError)) throw error;
        if (error.errno === EAGAIN) break;
        if (error.errno !== EINTR && error.errno !== ENOBUFS) throw error;
        if (error.errno === ENOBUFS) lost();
        continue;
      }
      try {
        for (const message of decodeMessages(this.#buffer.subarray(0, length))) {
          const value = decode(message.payload, message.type);
          if (value !== undefined) values.push(value);
        }
      } catch (error) {
        if (!(error instanceof MeshError)) throw error;
        lost();
      }
    }
    return values;
  }

  /** Memory for what is not read yet; beyond it the kernel forgets. */
  setReceiveBuffer(bytes: number): void {
    this.#libc.setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, u32(bytes));
  }

  /** Hears what the kernel announces to a group, until `leave`. */
  join(group: number): void {
    this.#libc.setsockopt(this.#fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, u32(group));
  }

  leave(group: number): void {
    this.#libc.setsockopt(this.#fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, u32(group));
  }

  close(): void {
    this.#libc.close(this.#fd);
  }

  *#exchange<T>(
    request: NetlinkRequest,
    flags: number,
    decode: Decode<T>,
  ): InParts<{ readonly values: T[]; readonly complete: boolean }> {
    this.#sequence = (this.#sequence + 1) >>> 0;
    const sequence = this.#sequence;
    this.#libc.send(
      this.#fd,
      encodeMessage({ ...request, flags: request.flags | NLM_F_REQUEST | flags, sequence }),
    );
    const values: T[] = [];
    let complete = true;
    for (;;) {
      const received = this.#receive();
      if (received === undefined) {
        complete = false;
        continue;
      }
      for (const message of received) {
        // Left over from an exchange that ended in an error.
        if (message.sequence !== sequence) continue;
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) complete = false;
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          throwRefusal(message);
          return { values, complete };
        }
        if (message.type < NLMSG_MIN_TYPE) continue;
        const value = decode(message.payload, message.type);
        if (value !== undefined) values.push(value);
      }
      yield;
    }
  }

  /** The messages of one datagram; undefined where the kernel lost some of them. */
  #receive(): NetlinkMessage[] | undefined {
    try {
      // Asking for the length first costs a microsecond, and no datagram is ever cut short.
      const length = this.#libc.recv(this.#fd, this.#buffer, MSG_PEEK | MSG_TRUNC);
      if (length > this.#buffer.length) this.#buffer = new Uint8Array(length * 2);
      return decodeMessages(this.#buffer.subarray(0, this.#libc.recv(this.#fd, this.#buffer, 0)));
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      if (error.errno === EINTR) return [];
      if (error.errno === ENOBUFS) return undefined;
      const late = error.errno === EAGAIN;
      throw new MeshError(
        late ? "kernel.netlink.timeout" : "kernel.netlink.receive",
        late ? `wait ${answerSeconds} s for the kernel's answer` : "receive the kernel's answer",
        { cause: error, fault: "host", retryable: true },
      );
    }
  }
}

function u32(value: number): Uint8Array {
  return Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
}

function throwRefusal(message: NetlinkMessage): void {
  const { errno, text } = decodeOutcome(message);
  if (errno !== 0) throw new SystemCallError(errno, text);
}
