/** Two ends of ours that write, read and end in any order, with the wire cut anywhere and keys that change at any pace. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, test } from "node:test";
import { seededRandom } from "../../base/random.ts";
import { type Contexts, cartAndWeb, Pair, plain, sealed } from "../testing/tls-pair.ts";
import { watchers } from "./calls/callbacks.ts";
import type { TlsConnection } from "./connection.ts";

let contexts: Contexts;
before(async () => {
  contexts = await cartAndWeb();
});

/** One end, with what is on the wire to it. */
class End {
  readonly connection: TlsConnection;
  arriving: Buffer = Buffer.alloc(0);
  read = "";
  written = "";
  isSecure = false;
  hasEnded = false;

  constructor(connection: TlsConnection) {
    this.connection = connection;
  }

  /** Takes as much of the wire as `bytes`; returns what it has to send. */
  take(bytes: number): Buffer {
    const piece = this.arriving.subarray(0, bytes);
    this.arriving = this.arriving.subarray(bytes);
    if (this.isSecure) return this.#open(piece);
    const { kind, output } = this.connection.handshake(piece, piece.length);
    this.isSecure = kind === "done";
    return this.isSecure ? Buffer.concat([output, this.#open(undefined)]) : output;
  }

  #open(piece: Buffer | undefined): Buffer {
    const opened = this.connection.open(piece, piece?.length ?? 0, plain);
    this.read += plain.toString("latin1", 0, opened);
    return this.connection.takeReply() ?? Buffer.alloc(0);
  }

  get mayWrite(): boolean {
    return this.isSecure && !this.hasEnded && !this.connection.isInMidMessage;
  }

  write(bytes: Buffer): Buffer {
    this.written += bytes.toString("latin1");
    return sealed(this.connection, bytes);
  }

  end(): Buffer {
    this.hasEnded = true;
    return this.connection.end();
  }
}

test("two ends hear what the other has said, in whatever order they speak", () => {
  let session: Buffer | undefined;
  for (let seed = 1; seed <= 60; seed++) {
    const random = seededRandom(seed);
    const upTo = (limit: number) => Math.floor(random() * limit);
    const keyLife = [-1, 1, 3, 1_000][upTo(4)] as number; // -1: each seal changes keys
    const isResumed = session !== undefined && random() < 0.5;
    const pair = new Pair(contexts, { keyLife, ...(isResumed && session ? { session } : {}) });
    const ends = [new End(pair.client), new End(pair.server)] as const;
    const send = (to: End, bytes: Buffer) => {
      to.arriving = Buffer.concat([to.arriving, bytes]);
    };
    const step = (one: End, other: End) => {
      const isReading = random() < 0.6;
      if (isReading && one.arriving.length > 0) {
        const most = random() < 0.3 ? 30 : one.arriving.length;
        send(other, one.take(1 + upTo(Math.min(most, 60_000))));
      } else if (!isReading && one.mayWrite) {
        send(other, random() < 0.02 ? one.end() : one.write(randomBytes(1 + upTo(6_000))));
      }
    };
    const [client, server] = ends;
    send(server, client.take(0));
    for (let i = 0; i < 100; i++) {
      if (random() < 0.5) step(client, server);
      else step(server, client);
    }
    while (client.arriving.length + server.arriving.length > 0) {
      send(server, client.take(60_000));
      send(client, server.take(60_000));
    }
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      assert.equal(one.connection.error, undefined, `seed ${seed}`);
      assert.equal(one.read, other.written, `seed ${seed}`);
      assert.equal(one.connection.hasPeerClosed, other.hasEnded, `seed ${seed}`);
    }
    assert.equal(client.connection.isResumed, isResumed);
    session = pair.sessions[0] ?? session;
    pair.close();
  }
  assert.equal(watchers.size, 0);
});
