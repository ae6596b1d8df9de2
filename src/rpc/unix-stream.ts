/**
 * A bidirectional gRPC stream to a unix socket, on a connection of its own: how sidecars reach their agent.
 *
 * Over the HTTP/2 that sidecars have anyway. grpc-js, which servers and agents use, would bring half of a sidecar's source
 * for these two streams, and 5 MB to each (docs/adr/0022).
 *
 * A peer that is gone without a word is noticed within 15 s, unless it does not like to be asked. Not here: opening it again (ads-client.ts).
 */

import { connect, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { MeshError } from "../base/error.ts";
import { encodeMessage, MessageReader } from "../wire/grpc/messages.ts";
import { readStatus } from "../wire/grpc/status.ts";
import { Http2Connection } from "../wire/http2/connection.ts";
import type { Http2Events } from "../wire/http2/events.ts";
import { ENHANCE_YOUR_CALM } from "../wire/http2/protocol.ts";
import type { Http2Stream } from "../wire/http2/stream.ts";
import type { TranslatedHead } from "../wire/http2/translated-head.ts";
import { coreVocabulary } from "../wire/http2/vocabulary.ts";
import { failedCall } from "./call-error.ts";
import type { DeltaConnection, DeltaHandlers, OpenDelta } from "./delta-stream.ts";

/**
 * A peer that has said nothing for `silence` is asked whether it is there, and given up `answer` later; after `calm` where
 * it has complained of that, as servers of grpc-go do that are asked more often than every five minutes.
 */
const defaultPatience = { silenceMs: 10_000, answerMs: 5_000, calmMs: 305_000 };
/** It is held in memory as it comes; ten thousand routes and clusters take some 10 MiB. */
const maxMessageBytes = 256 * 1024 * 1024;

/** `method` as in `methods`. A stream ends with MeshError `rpc.…` or, by what is no message, `grpc.malformed`. */
export function unixStreams(
  path: string,
  method: string,
  patience: typeof defaultPatience = defaultPatience,
): OpenDelta {
  let { silenceMs } = patience;
  const onComplaint = (): void => {
    silenceMs = patience.calmMs;
  };
  return (handlers) =>
    new UnixStream(path, method, handlers, { ...patience, silenceMs }, onComplaint);
}

class UnixStream implements DeltaConnection, Http2Events<undefined> {
  readonly #doing: string;
  readonly #handlers: DeltaHandlers;
  readonly #patience: Omit<typeof defaultPatience, "calmMs">;
  /** The next ones are to ask less often. */
  readonly #onComplaint: () => void;
  readonly #socket: Socket;
  readonly #connection: Http2Connection<undefined>;
  readonly #stream: Http2Stream<undefined>;
  readonly #messages = new MessageReader(maxMessageBytes);
  #isOpen = true;
  /** The peer was asked whether it is there, and has not said a word since. */
  #isAsked = false;

  constructor(
    path: string,
    method: string,
    handlers: DeltaHandlers,
    patience: Omit<typeof defaultPatience, "calmMs">,
    onComplaint: () => void,
  ) {
    this.#patience = patience;
    this.#onComplaint = onComplaint;
    this.#doing = `stream from ${path}`;
    this.#handlers = handlers;
    this.#connection = new Http2Connection("client", this, { vocabulary: coreVocabulary });
    this.#stream = this.#connection.request(
      undefined,
      { method: "POST", scheme: "http", path: method, authority: "localhost" },
      "content-type: application/grpc\r\nte: trailers\r\nuser-agent: heddle\r\n",
      false,
    );
    const socket = connect({ path, timeout: patience.silenceMs });
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => this.#read(bytes));
    socket.on("timeout", () => this.#onSilence());
    socket.on("error", (error) => this.#fail("unavailable", error.message));
    socket.on("close", () => this.#fail("unavailable", "connection closed"));
    this.#flush();
  }

  // ---- for the owner ---------------------------------------------------------------------------

  send(message: Uint8Array): void {
    if (!this.#isOpen) return;
    const bytes = encodeMessage(message);
    this.#connection.sender.sendData(this.#stream, bytes, 0, bytes.length, false);
    this.#flush();
  }

  close(): void {
    this.#end(new MeshError("rpc.closed", this.#doing));
  }

  // ---- the connection --------------------------------------------------------------------------

  #read(bytes: Buffer): void {
    if (this.#isAsked) {
      this.#isAsked = false;
      this.#socket.setTimeout(this.#patience.silenceMs);
    }
    this.#connection.read(bytes, 0, bytes.length, performance.now());
    if (this.#isOpen) this.#flush();
  }

  #onSilence(): void {
    if (!this.#isOpen) {
      this.#socket.destroy(); // it does not even take the last words
      return;
    }
    const { answerMs } = this.#patience;
    if (this.#isAsked) {
      // A process that stood still finds its timers over before it reads: what has come by then is read first.
      setImmediate(() => {
        if (this.#isAsked) this.#fail("unavailable", `no answer to a ping within ${answerMs} ms`);
      });
      return;
    }
    this.#isAsked = true;
    this.#connection.ping();
    this.#flush();
    this.#socket.setTimeout(answerMs);
  }

  #flush(): void {
    const { out } = this.#connection.sender;
    if (out.length > 0 && this.#socket.writable) this.#socket.write(out.take());
  }

  #fail(status: string, words: string): void {
    this.#end(failedCall(this.#doing, status, words));
  }

  #end(error: MeshError): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#connection.reset(this.#stream);
    this.#flush();
    this.#socket.destroySoon();
    this.#handlers.end(error);
  }

  // ---- what the peer says ----------------------------------------------------------------------

  onHead(_stream: Http2Stream<undefined>, head: TranslatedHead, isEnd: boolean): void {
    if (head.status < 200) return;
    if (head.status !== 200) this.#fail("unavailable", `HTTP status ${head.status}, want 200`);
    else if (isEnd) this.#onStatus(head.text);
  }

  onData(
    _stream: Http2Stream<undefined>,
    bytes: Uint8Array,
    start: number,
    end: number,
    isEnd: boolean,
  ): void {
    try {
      this.#messages.read(bytes, start, end, (message) => {
        if (this.#isOpen) this.#handlers.message(message);
      });
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
      this.#end(error);
    }
    if (isEnd) this.#fail("internal", "ended without a status");
  }

  onTrailers(_stream: Http2Stream<undefined>, lines: string): void {
    this.#onStatus(lines);
  }

  #onStatus(lines: string): void {
    const status = readStatus(lines);
    if (status === undefined) this.#fail("internal", "ended without a status");
    else if (status.name !== "ok") this.#fail(status.name, status.message || status.name);
    else
      this.#end(
        new MeshError("rpc.ended", `${this.#doing}: the peer closed it`, { retryable: true }),
      );
  }

  onReset(_stream: Http2Stream<undefined>, code: number): void {
    this.#fail("unavailable", `stream reset with HTTP/2 error ${code}`);
  }

  onHeadTooLarge(): void {
    this.#fail("internal", "the answer's head is too large");
  }

  onFatal(code: number, reason: string): void {
    this.#fail("internal", `HTTP/2 error ${code}: ${reason}`);
  }

  onDrained(): void {}

  onPong(): void {}

  /** What becomes of this stream a peer says on the stream itself, but where it wants none of us at all. */
  onGoaway(code: number): void {
    if (code !== ENHANCE_YOUR_CALM) return;
    this.#onComplaint();
    this.#fail("unavailable", "the peer is asked too often whether it is there");
  }
}
