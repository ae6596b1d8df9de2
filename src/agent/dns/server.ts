/**
 * The name server of this node's pods: UDP and TCP on the pods' gateway address.
 *
 * It answers from memory, so the sockets need no queue; what goes to the upstream is bounded, and over the bound the
 * answer is "server failure" at once instead of late. Of a client over TCP that does not take its answers no more is read.
 * The address exists as soon as the node's first plan was applied; until then listening is tried again.
 */

import { createSocket, type RemoteInfo } from "node:dgram";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { MeshError, renderError } from "../../base/error.ts";
import { familyOf } from "../../base/ip.ts";
import type { Log } from "../../base/log.ts";
import type { NameTable } from "../../core/dns/name-table.ts";
import { readFrames, writeFrame } from "../../rpc/dns-frames.ts";
import { decodeId, decodeMessage } from "../../wire/dns/decode.ts";
import { encodeMessage } from "../../wire/dns/encode.ts";
import { type DnsMessage, responseCodes } from "../../wire/dns/message.ts";
import { answerQuery, udpLimit, withCode } from "./answer.ts";
import type { AnsweredBy, DnsMetrics } from "./metrics.ts";
import type { Upstream } from "./upstream.ts";

export interface NameServerOptions {
  readonly address: string;
  readonly port: number;
  /** Sockets that are bound already, by the server before this one. */
  readonly shared?: SharedSockets;
  /** Names of the newest view; undefined before the first. */
  readonly table: () => NameTable | undefined;
  readonly upstream?: Upstream;
  readonly metrics?: DnsMetrics;
  readonly log: Log;
}

/** Descriptors. */
export interface SharedSockets {
  readonly udp?: number;
  readonly tcp?: number;
}

export interface NameServer extends AsyncDisposable {
  /** The port that is listened on, for callers that asked for any. */
  readonly port: number;
}

const maxForwarded = 256;
const maxConnections = 256;
/**
 * Of one connection; more is read when there are fewer, and when what is answered has been taken. An answer has up to
 * 64 KiB, so that a client that asks and never reads holds a mebibyte.
 */
const maxUnanswered = 16;
const idleMs = 10_000;
/** So long its end waits for what the outside has not answered yet. */
const lastAnswersMs = 3_000;

/**
 * Tries for "any port", which must be free for UDP and TCP alike. TCP's is asked for first, since more of those are
 * taken: a connection's until a minute after its end.
 */
const maxPorts = 16;

/** Listens on both; throws MeshError `dns.listen` where the address is not there or taken. */
export async function serveNames(options: NameServerOptions): Promise<NameServer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await serveAt(options);
    } catch (error) {
      if (options.port !== 0 || attempt === maxPorts) throw error;
    }
  }
}

async function serveAt(options: NameServerOptions): Promise<NameServer> {
  const resolve = resolver(options);
  const { shared = {} } = options;
  const pending = new Set<Promise<void>>();
  const follow = (work: Promise<void>) => {
    const followed = work.finally(() => pending.delete(followed));
    pending.add(followed);
  };
  const onQuery = async (bytes: Buffer, from: RemoteInfo) => {
    const limit = (query: DnsMessage | undefined) => (query === undefined ? 512 : udpLimit(query));
    const answer = await resolve(bytes, limit, from.address);
    if (answer === undefined) return;
    await new Promise<void>((sent) => udp.send(answer, from.port, from.address, () => sent()));
  };
  const open = new Set<Socket>();
  const tcp = createServer((socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    socket.on("error", () => undefined);
    socket.setTimeout(idleMs, () => socket.destroy());
    const asker = socket.remoteAddress ?? "";
    let unanswered = 0;
    const isBehind = () => unanswered >= maxUnanswered || socket.writableNeedDrain;
    const goOn = () => {
      if (!isBehind()) frames.resume();
    };
    const frames = readFrames(socket, (bytes) => {
      unanswered++;
      const answered = resolve(bytes, () => 65_535, asker).then((answer) => {
        unanswered--;
        if (answer !== undefined && socket.writable) writeFrame(socket, answer);
        goOn();
      });
      follow(answered);
      if (isBehind()) frames.pause();
    });
    socket.on("drain", goOn);
  });
  tcp.maxConnections = maxConnections;
  await listening(options, (done, failed) => {
    tcp.once("error", failed);
    const { address: host, port } = options;
    tcp.listen(
      shared.tcp === undefined ? { port, host, reusePort: true } : { fd: shared.tcp },
      done,
    );
  });
  const { port } = tcp.address() as AddressInfo;

  // Where a server that replaces another cannot have its sockets, both share the port for a while.
  const family = familyOf(options.address);
  const udp = createSocket({
    type: family === "IPv4" ? "udp4" : "udp6",
    ipv6Only: family === "IPv6",
    recvBufferSize: 1024 * 1024,
    reusePort: true,
  });
  udp.on("message", (bytes, from) => follow(onQuery(bytes, from)));
  try {
    await listening(options, (done, failed) => {
      udp.once("error", failed);
      const { address } = options;
      udp.bind(shared.udp === undefined ? { address, port } : { fd: shared.udp }, done);
    });
  } catch (error) {
    udp.close();
    tcp.close();
    for (const socket of open) socket.destroy();
    throw error;
  }
  udp.on("error", (error) => options.log.warn("name server's socket", { error: error.message }));
  return {
    port,
    async [Symbol.asyncDispose]() {
      const isClosed = new Promise<void>((done) => tcp.close(() => done()));
      // What the kernel has handed over by now is read in this turn of the loop.
      await new Promise((done) => setImmediate(done));
      const late = after(lastAnswersMs);
      while (pending.size > 0 && !late.signal.aborted) {
        await Promise.race([Promise.all(pending), late.reached]);
      }
      // In the turn in which nothing is unanswered: what comes next stays in the kernel's queue, for who shares it.
      udp.close();
      // Whoever has a connection open may ask again until it has been idle for long.
      await Promise.race([isClosed, after(idleMs + lastAnswersMs).reached]);
      for (const socket of open) socket.destroy();
      await isClosed;
    },
  };
}

function after(ms: number): { readonly signal: AbortSignal; readonly reached: Promise<void> } {
  const signal = AbortSignal.timeout(ms);
  const reached = new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  return { signal, reached };
}

interface Answered {
  readonly message: DnsMessage;
  readonly by: AnsweredBy;
}

/** Bytes of a query to bytes of its answer; undefined for what deserves none. */
function resolver(
  options: NameServerOptions,
): (
  bytes: Uint8Array,
  limit: (query: DnsMessage | undefined) => number,
  asker: string,
) => Promise<Uint8Array | undefined> {
  let forwarded = 0;

  async function answer(query: DnsMessage, asker: string): Promise<Answered> {
    const local = answerQuery(query, options.table(), asker);
    if (local.kind === "reply") return { message: local.message, by: "cluster" };
    const { upstream } = options;
    // With no resolver for the outside, a made-up name of a search list must not stop the search.
    if (upstream === undefined) {
      return { message: withCode(local.partial, responseCodes.nameError), by: "cluster" };
    }
    if (forwarded >= maxForwarded) {
      return { message: withCode(local.partial, responseCodes.serverFailure), by: "upstream" };
    }
    forwarded++;
    try {
      const { message, by } = await upstream.resolve(local.question);
      const { responseCode, authorities } = message;
      const answers = [...local.partial.answers, ...message.answers];
      return { message: { ...local.partial, responseCode, answers, authorities }, by };
    } catch (error) {
      options.log.debug("upstream has no answer", { error: renderError(error) });
      return { message: withCode(local.partial, responseCodes.serverFailure), by: "upstream" };
    } finally {
      forwarded--;
    }
  }

  return async (bytes, limit, asker) => {
    let query: DnsMessage;
    try {
      query = decodeMessage(bytes);
    } catch {
      const id = decodeId(bytes);
      return id === undefined ? undefined : encodeMessage(formatError(id));
    }
    if (query.isResponse) return undefined; // answering answers makes two servers talk for ever
    try {
      const startedAt = performance.now();
      const { message, by } = await answer(query, asker);
      const type = query.questions[0]?.type ?? 0;
      const seconds = (performance.now() - startedAt) / 1_000;
      options.metrics?.answered(type, message.responseCode, by, seconds);
      return encodeMessage(message, limit(query));
    } catch (error) {
      options.log.error("query is not answered", { error: renderError(error) });
      return encodeMessage({ ...formatError(query.id), responseCode: responseCodes.serverFailure });
    }
  };
}

function formatError(id: number): DnsMessage {
  return {
    id,
    isResponse: true,
    opcode: 0,
    authoritative: false,
    truncated: false,
    recursionDesired: false,
    recursionAvailable: true,
    responseCode: responseCodes.formatError,
    questions: [],
    answers: [],
    authorities: [],
    additionals: [],
  };
}

function listening(
  { address, port }: NameServerOptions,
  start: (done: () => void, failed: (error: Error) => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    start(resolve, (cause) =>
      reject(
        new MeshError("dns.listen", `listen for names on ${address}:${port}`, {
          cause,
          fault: "host",
          retryable: true,
        }),
      ),
    );
  });
}
