/**
 * A client of HTTP/2 that says what it is told to, also what no client may say: fields and pseudo-header fields in any
 * order and number, bodies of other lengths than named, trailers of any kind.
 */

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { Http2Connection } from "../../wire/http2/connection.ts";
import type { Http2Events } from "../../wire/http2/events.ts";
import type { RequestLine } from "../../wire/http2/sender.ts";
import type { Http2Stream } from "../../wire/http2/stream.ts";
import type { TranslatedHead } from "../../wire/http2/translated-head.ts";
import { readText, vocabulary } from "../codec/http2/vocabulary.ts";
import type { Harness } from "./harness.ts";

export interface RawRequest extends Partial<RequestLine> {
  /** Lines with their ends; those that begin with a colon are pseudo-header fields. */
  readonly lines?: string;
  readonly body?: string;
  /** Lines with their ends. */
  readonly trailers?: string;
}

/** Whoever waits for the answer, and what came of it so far. */
class Waiting {
  readonly tell: (outcome: string) => void;
  text = "";
  constructor(tell: (outcome: string) => void) {
    this.tell = tell;
  }
}

type Stream = Http2Stream<Waiting>;

export class RawHttp2Client implements Http2Events<Waiting> {
  readonly #socket: Socket;
  readonly #connection: Http2Connection<Waiting>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#connection = new Http2Connection<Waiting>("client", this, { vocabulary, readText });
    socket.on("data", (bytes: Buffer) => {
      this.#connection.read(bytes, 0, bytes.length, performance.now());
      this.#flush();
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      for (const stream of this.#connection.streams) stream.owner?.tell("closed");
    });
    this.#flush();
  }

  static async connect(harness: Harness, port: number): Promise<RawHttp2Client> {
    const socket = connect({ port, host: "127.0.0.1" });
    await once(socket, "connect");
    harness.atEnd(() => socket.destroy());
    return new RawHttp2Client(socket);
  }

  /** `200 body`, `reset with CODE` or `closed`. Interim answers are passed over. */
  request({ lines = "", body, trailers, ...line }: RawRequest = {}): Promise<string> {
    return new Promise((resolve) => {
      const { sender } = this.#connection;
      const whole = { method: "GET", scheme: "http", authority: "a", path: "/", ...line };
      const isEnd = body === undefined && trailers === undefined;
      const stream = this.#connection.request(new Waiting(resolve), whole, lines, isEnd);
      const bytes = Buffer.from(body ?? "");
      if (trailers !== undefined) {
        sender.sendData(stream, bytes, 0, bytes.length, false);
        sender.sendTrailers(stream, trailers);
      } else if (!isEnd) sender.sendData(stream, bytes, 0, bytes.length, true);
      this.#flush();
    });
  }

  /** Says nothing more. */
  end(): void {
    this.#socket.end();
  }

  #flush(): void {
    const { out } = this.#connection.sender;
    if (out.length > 0) this.#socket.write(out.take());
  }

  onHead({ owner }: Stream, head: TranslatedHead, isEnd: boolean): void {
    if (owner === undefined || head.status < 200) return;
    owner.text = `${head.status} `;
    if (isEnd) owner.tell(owner.text);
  }

  onData({ owner }: Stream, bytes: Uint8Array, start: number, end: number, isEnd: boolean): void {
    if (owner === undefined) return;
    owner.text += readText(bytes, start, end);
    if (isEnd) owner.tell(owner.text);
  }

  onTrailers({ owner }: Stream, lines: string): void {
    owner?.tell(owner.text + lines);
  }

  onReset({ owner }: Stream, code: number): void {
    owner?.tell(`reset with ${code}`);
  }

  onHeadTooLarge(): void {}
  onDrained(): void {}
  onPong(): void {}
  onGoaway(): void {}
  onFatal(): void {
    this.#flush();
    this.#socket.end();
  }
}
