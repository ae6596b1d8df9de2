/**
 * The smallest gRPC server: answers every unary call with a message of 128 bytes. Prints its port.
 *
 * It stands on our own codec, since what is measured is what stands before it, and Node's own server would be the slowest
 * part of every path.
 */

import { type AddressInfo, createServer, type Socket } from "node:net";
import { Http2Connection } from "../src/wire/http2/connection.ts";
import type { Http2Events } from "../src/wire/http2/events.ts";
import type { Http2Stream } from "../src/wire/http2/stream.ts";
import { coreVocabulary } from "../src/wire/http2/vocabulary.ts";

const message = Buffer.alloc(5 + 128, 120);
message.writeUInt8(0, 0);
message.writeUInt32BE(128, 1);

class Backend implements Http2Events<undefined> {
  readonly #connection: Http2Connection<undefined>;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#connection = new Http2Connection<undefined>("server", this, {
      vocabulary: coreVocabulary,
      allocate: (bytes) => Buffer.allocUnsafeSlow(bytes),
      readText: (bytes, start, end) =>
        Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("latin1"),
    });
    socket.on("data", (bytes: Buffer) => {
      this.#connection.read(bytes, 0, bytes.length, performance.now());
      this.#flush();
    });
    socket.on("error", () => socket.destroy());
    this.#flush();
  }

  #flush(): void {
    const { out } = this.#connection.sender;
    if (out.length > 0) this.#socket.write(out.take());
  }

  #answer(stream: Http2Stream<undefined>): void {
    const { sender } = this.#connection;
    sender.sendResponse(stream, 200, "content-type: application/grpc\r\n", false);
    sender.sendData(stream, message, 0, message.length, false);
    sender.sendTrailers(stream, "grpc-status: 0\r\ngrpc-message: \r\n");
  }

  onHead(stream: Http2Stream<undefined>, _head: unknown, isEnd: boolean): void {
    if (isEnd) this.#answer(stream);
  }
  onData(
    stream: Http2Stream<undefined>,
    _bytes: Uint8Array,
    _start: number,
    _end: number,
    isEnd: boolean,
  ): void {
    if (isEnd) this.#answer(stream);
  }
  onTrailers(stream: Http2Stream<undefined>): void {
    this.#answer(stream);
  }
  onReset(): void {}
  onHeadTooLarge(): void {}
  onDrained(): void {}
  onPong(): void {}
  onGoaway(): void {}
  onFatal(): void {
    this.#flush();
    this.#socket.end();
  }
}

const server = createServer({ noDelay: true }, (socket) => void new Backend(socket));
server.listen(0, "127.0.0.1", 1024, () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
