/** What a client does between its handshake's end and the first data, with a server that does what RFC 8446 lets it. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, describe, test } from "node:test";
import { Sealer, type Suite, suites } from "../testing/sealed-records.ts";
import { type Contexts, cartAndWeb, Pair, plain, read, sealed } from "../testing/tls-pair.ts";
import { watchers } from "./calls/callbacks.ts";

let contexts: Contexts;
before(async () => {
  contexts = await cartAndWeb();
});

const alert = 21;
const handshake = 22;
const keyUpdate = Buffer.of(24, 0, 0, 1, 0);
const keyUpdateAsked = Buffer.of(24, 0, 0, 1, 1);

/** RFC 8446 §4.6.1. */
function ticketOf(bytes: number): Buffer {
  const head = Buffer.from([4, 0, 0, 0, 0, 0, 1, 0, 1, 2, 3, 4, 1, 7, bytes >> 8, bytes & 255]);
  const ticket = Buffer.concat([head, randomBytes(bytes), Buffer.of(0, 0)]);
  ticket.writeUIntBE(ticket.length - 4, 1, 3);
  return ticket;
}

/** A client behind its handshake, and `node:crypto` in the place of its server's records. */
class Client {
  readonly pair: Pair;
  readonly server: Sealer;

  constructor() {
    this.pair = new Pair(contexts);
    let secret = Buffer.alloc(0);
    for (const watcher of watchers.values()) {
      const tell = watcher.onSecret.bind(watcher);
      watcher.onSecret = (line) => {
        if (line.startsWith("SERVER_TRAFFIC_SECRET_0 ")) {
          secret = Buffer.from(line.split(" ")[2] ?? "", "hex");
        }
        tell(line);
      };
    }
    assert.ok(Buffer.isBuffer(this.pair.shakeHands()));
    this.pair.client.open(undefined, 0, plain);
    this.server = new Sealer(suites[1] as Suite, secret);
  }

  /** A record, and the keys after it where it ends in a change. */
  message(...contents: readonly Buffer[]): Buffer {
    const record = this.server.record(handshake, Buffer.concat(contents));
    if (contents.at(-1)?.[0] === 24) this.server.update();
    return record;
  }

  read(...records: readonly Buffer[]): string {
    return read(this.pair.client, Buffer.concat(records));
  }

  get error(): string {
    return String(this.pair.client.error);
  }
}

describe("a client", () => {
  const ticket = ticketOf(200);

  test("reads on where a ticket and a change of keys come in one record", () => {
    const client = new Client();
    assert.equal(client.read(client.message(ticket, keyUpdate)), "");
    assert.equal(client.read(client.server.data("one")), "one", client.error);
    assert.equal(client.read(client.server.data("two")), "two", client.error);
    client.pair.close();
  });

  test("reads on wherever a second ticket is cut, by records or behind the first", () => {
    for (const cut of [1, 2, 3, 4, 5, 100, ticket.length - 1]) {
      for (const isBehind of [true, false]) {
        const client = new Client();
        const [head, tail] = [ticket.subarray(0, cut), ticket.subarray(cut)];
        client.read(isBehind ? client.message(ticket, head) : client.message(ticket));
        if (!isBehind) client.read(client.message(head));
        assert.equal(client.read(client.message(tail)), "");
        assert.equal(client.read(client.server.data("one")), "one", `${cut}: ${client.error}`);
        assert.equal(client.read(client.server.data("two")), "two", `${cut}: ${client.error}`);
        assert.equal(client.pair.sessions.length, 1);
        client.pair.close();
      }
    }
  });

  test("that is asked for other keys before the first data writes under them", () => {
    const client = new Client();
    const asks = client.message(keyUpdateAsked);
    assert.equal(client.read(asks, client.server.data("one")), "one");
    const [changed, plain] = [sealed(client.pair.client, "1"), sealed(client.pair.client, "2")];
    assert.ok(changed.length > plain.length, "no KeyUpdate before it");
    assert.equal(read(client.pair.server, Buffer.concat([changed, plain])), "12");
    assert.equal(client.read(client.server.data("two")), "two"); // without OpenSSL from here on
    assert.equal(read(client.pair.server, sealed(client.pair.client, "3")), "3");
    client.pair.close();
  });

  test("is broken by changes of keys without end, one a read, though it has no ticket", () => {
    const client = new Client();
    let reads = 0;
    while (client.pair.client.error === undefined && reads < 100) {
      client.read(client.message(keyUpdate));
      reads++;
    }
    assert.match(client.error, /too many records without data/);
    assert.equal(reads, 33);
    client.pair.close();
  });

  test("is not broken by a ticket that comes byte by byte", () => {
    const client = new Client();
    for (const byte of client.message(ticket)) client.read(Buffer.of(byte));
    assert.equal(client.read(client.server.data("one")), "one", client.error);
    client.pair.close();
  });

  test("says of an alert before the first data what it says of later ones", () => {
    const client = new Client();
    client.read(client.server.record(alert, Buffer.of(2, 48)));
    assert.match(client.error, /it sent the alert unknown_ca/);
    client.pair.close();
  });

  test("that went on from a session tells of its own ticket, and not of that session again", () => {
    const first = new Pair(contexts);
    first.shake();
    const [session] = first.sessions;
    assert.ok(session);
    const second = new Pair(contexts, { session });
    const tickets = second.shakeHands();
    assert.ok(Buffer.isBuffer(tickets));
    second.client.open(undefined, 0, plain);
    assert.equal(second.client.isResumed, true);
    assert.deepEqual(second.sessions, []);
    read(second.client, tickets);
    assert.equal(second.sessions.length, 1);
    assert.notDeepEqual(second.sessions[0], session);
    first.close();
    second.close();
  });
});
