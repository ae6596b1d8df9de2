import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { seededRandom } from "../../base/random.ts";
import { Sealer, type Suite, suites } from "../testing/sealed-records.ts";
import { openSsl } from "./openssl.ts";
import { maxPlainBytes, maxSealedBytes } from "./record-layer.ts";
import { Records } from "./records.ts";
import { TrafficKeys } from "./traffic-keys.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");
const [aes128] = suites as [Suite, ...Suite[]];

/** An end of a connection, and `node:crypto` at the other one. */
class End {
  readonly records: Records;
  readonly peer: Sealer;
  /** Seals as the end itself should. */
  readonly twin: Sealer;

  constructor({ suite = aes128, isServer = true, recordsPerKey = 1_000, at = 0 } = {}) {
    const length = suite.hash === "sha384" ? 48 : 32;
    const [theirs, own] = [randomBytes(length), randomBytes(length)];
    this.peer = new Sealer(suite, theirs, BigInt(at));
    this.twin = new Sealer(suite, own, BigInt(at));
    const reading = TrafficKeys.of(openSsl(), suite.number, theirs, at);
    const writing = TrafficKeys.of(openSsl(), suite.number, own, at);
    this.records = new Records({ reading, writing, isServer, recordsPerKey });
  }

  open(wire: Buffer): string {
    return plain.toString("latin1", 0, this.records.open(wire, wire.length, plain));
  }

  seal(text: string | Buffer): Buffer {
    const bytes = Buffer.from(text as string);
    return Buffer.from(sealed.subarray(0, this.records.seal(bytes, 0, bytes.length, sealed)));
  }

  get error(): string {
    return String(this.records.error);
  }
}

const plain = Buffer.alloc(maxPlainBytes);
const sealed = Buffer.alloc(maxSealedBytes);

describe("records of the trace in RFC 8448 §3", () => {
  const server = hex("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643");
  const client = hex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5");
  const content = Buffer.from(Array.from({ length: 50 }, (_, i) => i));
  const fromClient =
    hex(`17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea 42 f9 14 aa 66 bc
    ab 3f 2b 98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f 5a 62 92 a2 97 70 14 bd 1e 3d ea e6 3a ee bb 21
    69 49 15 e4`);
  const fromServer =
    hex(`17 03 03 00 43 2e 93 7e 11 ef 4a c7 40 e5 38 ad 36 00 5f c4 a4 69 32 fc 32 25 d0 5f 82 aa
    1b 36 e3 0e fa f9 7d 90 e6 df fc 60 2d cb 50 1a 59 a8 fc c4 9c 4b f2 e5 f0 a2 1c 00 47 c2 ab f3 32 54 0d d0 32 e1
    67 c2 95 5d`);
  const endOfClient = hex(
    "17 03 03 00 13 c9 87 27 60 65 56 66 b7 4d 7f f1 15 3e fd 6d b6 d0 b0 e3",
  );

  // The server has sent a ticket before.
  const keys = (secret: Buffer, records: number) =>
    TrafficKeys.of(openSsl(), aes128.number, secret, records);

  test("are read by the server, and answered with the same bytes", () => {
    const [reading, writing] = [keys(client, 0), keys(server, 1)];
    const records = new Records({ reading, writing, isServer: true, recordsPerKey: 1_000 });
    assert.equal(records.open(fromClient, fromClient.length, plain), content.length);
    assert.deepEqual(plain.subarray(0, content.length), content);
    const length = records.seal(content, 0, content.length, sealed);
    assert.equal(sealed.toString("hex", 0, length), fromServer.toString("hex"));
    assert.equal(records.open(endOfClient, endOfClient.length, plain), 0);
    assert.equal(records.hasPeerClosed, true);
    assert.equal(records.error, undefined);
  });
});

describe("records", () => {
  for (const suite of suites) {
    test(`of ${suite.cipher} are those of node:crypto, whatever their size, padding and number`, () => {
      const random = seededRandom(suite.number);
      for (const at of [0, 255, 2 ** 24 - 2, 2 ** 32 - 2]) {
        const end = new End({ suite, at, recordsPerKey: 2 ** 40 });
        for (const size of [1, 2, 15, 16, 17, 1_000, 16_383, 16_384]) {
          const content = randomBytes(size);
          const padding = Math.floor(random() * (16_385 - size));
          const text = end.open(end.peer.data(content, Math.min(padding, 16_384 - size)));
          assert.equal(text, content.toString("latin1"), `${size} bytes, ${end.error}`);
          assert.deepEqual(end.seal(content), end.twin.data(content));
        }
      }
    });
  }

  test("of 64 KiB are four full ones", () => {
    const end = new End();
    const content = randomBytes(65_536);
    const four = [0, 1, 2, 3].map((i) => end.twin.data(content.subarray(i << 14, (i + 1) << 14)));
    assert.deepEqual(end.seal(content), Buffer.concat(four));
  });

  test("are put together from pieces of any size, and kept no longer than needed", () => {
    const random = seededRandom(3);
    for (let round = 0; round < 30; round++) {
      const end = new End();
      const contents = Array.from({ length: 8 }, () =>
        randomBytes(1 + Math.floor(random() * 9_000)),
      );
      const wire = Buffer.concat(contents.map((content) => end.peer.data(content)));
      const pieces = [1, 4, 5, 6, 300, 20_000];
      let text = "";
      for (let at = 0; at < wire.length; ) {
        const size = pieces[Math.floor(random() * pieces.length)] as number;
        text += end.open(wire.subarray(at, at + size));
        at += size;
      }
      assert.equal(text, Buffer.concat(contents).toString("latin1"), end.error);
    }
  });

  test("without data, or that ask to go on, are nothing", () => {
    const end = new End();
    assert.equal(end.open(end.peer.data("")), "");
    assert.equal(end.open(end.peer.record(21, Buffer.of(1, 90))), ""); // user_canceled
    assert.equal(end.open(end.peer.data("on")), "on");
    assert.equal(end.records.takeReply(), undefined);
  });

  test("under other keys are read and, where that is asked, answered under other keys", () => {
    for (const asks of [0, 1]) {
      const end = new End();
      const update = end.peer.record(22, Buffer.of(24, 0, 0, 1, asks));
      end.peer.update();
      assert.equal(end.open(Buffer.concat([update, end.peer.data("new")])), "new");
      const reply = end.records.takeReply();
      if (asks === 0) assert.equal(reply, undefined);
      else {
        assert.deepEqual(reply, end.twin.record(22, Buffer.of(24, 0, 0, 1, 0)));
        end.twin.update();
      }
      assert.deepEqual(end.seal("answer"), end.twin.data("answer"));
    }
  });

  test("that ask for other keys and then end are answered, for what is still written", () => {
    const end = new End();
    const update = end.peer.record(22, Buffer.of(24, 0, 0, 1, 1));
    end.peer.update();
    end.open(Buffer.concat([update, end.peer.record(21, Buffer.of(1, 0))]));
    assert.equal(end.records.hasPeerClosed, true);
    assert.deepEqual(end.records.takeReply(), end.twin.record(22, Buffer.of(24, 0, 0, 1, 0)));
    end.twin.update();
    assert.deepEqual(end.seal("the rest"), end.twin.data("the rest"));
  });

  test("of a ticket as long as one can be are skipped", () => {
    const end = new End({ isServer: false });
    const length = 131_337; // RFC 8446 §4.6.1, each of its parts at its longest
    const ticket = Buffer.concat([Buffer.of(4, 0, 0, 0), randomBytes(length)]);
    ticket.writeUIntBE(length, 1, 3);
    for (let at = 0; at < ticket.length; at += 16_384) {
      end.open(end.peer.record(22, ticket.subarray(at, at + 16_384)));
    }
    assert.equal(end.open(end.peer.data("after")), "after", end.error);
  });

  test("are not written where there is no room for them", () => {
    const end = new End();
    const room = Buffer.alloc(64);
    const small = room.subarray(0, 16);
    const wire = end.peer.data(randomBytes(40));
    assert.throws(() => end.records.open(wire, wire.length, small), /no room/);
    assert.throws(() => end.records.seal(randomBytes(20), 0, 20, small), /no room/);
    assert.throws(() => end.records.seal(small, 0, 20, sealed), /no room/);
    assert.deepEqual(room.subarray(small.length), Buffer.alloc(48));
  });

  test("are not made of memory that was given away since its address was asked for", () => {
    const end = new End();
    const bytes = new Uint8Array(64);
    end.records.seal(bytes, 0, bytes.length, sealed);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    assert.throws(() => end.records.seal(bytes, 0, 64, sealed), /no room/);
  });

  test("more than a key is good for are written under the next", () => {
    const end = new End({ recordsPerKey: 2 });
    assert.deepEqual(end.seal("1"), end.twin.data("1"));
    assert.deepEqual(end.seal("2"), end.twin.data("2"));
    const change = end.twin.record(22, Buffer.of(24, 0, 0, 1, 0));
    end.twin.update();
    assert.deepEqual(end.seal("3"), Buffer.concat([change, end.twin.data("3")]));
    assert.deepEqual(end.seal("4"), end.twin.data("4"));
  });

  test("with tickets are skipped by a client, in one piece, in many, and two in one", () => {
    const ticket = Buffer.concat([Buffer.of(4, 0, 4, 0), randomBytes(1_024)]);
    const end = new End({ isServer: false });
    assert.equal(end.open(end.peer.record(22, Buffer.concat([ticket, ticket]))), "");
    for (let at = 0; at < ticket.length; at += 200) {
      assert.equal(end.open(end.peer.record(22, ticket.subarray(at, at + 200))), "");
    }
    for (const byte of ticket.subarray(0, 3)) end.open(end.peer.record(22, Buffer.of(byte)));
    end.open(end.peer.record(22, ticket.subarray(3)));
    assert.equal(end.open(end.peer.data("after")), "after", end.error);
  });

  test("after the peer's last word are not looked at, and may be written", () => {
    const end = new End();
    const bye = end.peer.data("bye");
    const last = end.peer.record(21, Buffer.of(1, 0));
    assert.equal(end.open(Buffer.concat([bye, last, randomBytes(50)])), "bye");
    assert.equal(end.records.hasPeerClosed, true);
    assert.equal(end.open(randomBytes(50)), "");
    assert.equal(end.records.error, undefined);
    assert.deepEqual(end.seal("more"), end.twin.data("more"));
    assert.deepEqual(end.records.end(), end.twin.record(21, Buffer.of(1, 0)));
  });

  test("of an alert break the connection by its name, unanswered", () => {
    const end = new End({ isServer: false });
    assert.equal(end.open(end.peer.record(21, Buffer.of(2, 42))), "");
    assert.match(end.error, /it sent the alert bad_certificate/);
    assert.equal(end.records.takeReply(), undefined);
  });
});

describe("a record breaks its connection, with an alert, that", () => {
  const update = (request: number, length = 1) => Buffer.of(24, 0, 0, length, request);
  const ticket = Buffer.of(4, 0, 0, 5, 1, 2, 3, 4, 5);
  /** What is wrong with it, the alert, and what is sent after a good record. */
  const cases: readonly (readonly [string, number, (peer: Sealer) => Buffer])[] = [
    ["is changed", 20, (peer) => changed(peer.data("data"), 7)],
    ["has a changed tag", 20, (peer) => changed(peer.data("data"), -1)],
    ["has a changed version", 20, (peer) => changed(peer.data("data"), 2)],
    ["is a repetition", 20, (peer) => repeated(peer, peer.data("data"))],
    ["comes too early", 20, (peer) => skipped(peer)],
    [
      "is shorter than a tag",
      20,
      () => Buffer.concat([Buffer.of(23, 3, 3, 0, 16), randomBytes(16)]),
    ],
    ["is empty", 20, () => Buffer.of(23, 3, 3, 0, 0)],
    ["says that it is longer than any", 22, () => Buffer.of(23, 3, 3, 0x41, 1)],
    ["holds more than it may", 22, (peer) => peer.data(Buffer.alloc(16_385, 1))],
    ["holds more than it may, with padding", 22, (peer) => peer.data(Buffer.alloc(16_300, 1), 85)],
    ["is in the clear", 10, () => Buffer.of(21, 3, 3, 0, 2, 1, 0)],
    ["changes the cipher", 10, () => Buffer.of(20, 3, 3, 0, 1, 1)],
    ["is padding alone", 10, (peer) => peer.inner(Buffer.alloc(20))],
    ["is nothing", 20, (peer) => peer.inner(Buffer.alloc(0))],
    ["has an unknown type", 10, (peer) => peer.record(99, Buffer.of(1))],
    ["has an empty alert", 10, (peer) => peer.record(21, Buffer.alloc(0))],
    ["has two alerts", 50, (peer) => peer.record(21, Buffer.of(1, 90, 1, 0))],
    ["has an empty message", 10, (peer) => peer.record(22, Buffer.alloc(0))],
    ["begins a handshake", 10, (peer) => peer.record(22, Buffer.of(1, 0, 0, 1, 0))],
    ["has a server's ticket for it", 10, (peer) => peer.record(22, ticket)],
    ["has a change of keys without its byte", 50, (peer) => peer.record(22, update(0, 0))],
    ["has a change of keys of two bytes", 50, (peer) => peer.record(22, update(0, 2))],
    ["has a change of keys that asks for 2", 47, (peer) => peer.record(22, update(2))],
    ["has a message behind its old keys", 10, (peer) => peer.record(22, twice(update(0)))],
    ["has data in the middle of a message", 10, (peer) => cutBy(peer, (p) => p.data("x"))],
    [
      "has an end in the middle of a message",
      10,
      (peer) => cutBy(peer, (p) => p.record(21, Buffer.of(1, 0))),
    ],
  ];
  const twice = (bytes: Buffer) => Buffer.concat([bytes, bytes]);
  const changed = (record: Buffer, at: number) => {
    const i = (at + record.length) % record.length;
    record[i] = (record[i] as number) ^ 1;
    return record;
  };
  const repeated = (_peer: Sealer, record: Buffer) => twice(record).subarray(record.length);
  const skipped = (peer: Sealer) => {
    peer.data("lost");
    return peer.data("data");
  };
  const cutBy = (peer: Sealer, other: (peer: Sealer) => Buffer) =>
    Buffer.concat([peer.record(22, update(0).subarray(0, 2)), other(peer)]);

  for (const [what, alert, make] of cases) {
    test(what, () => {
      const end = new End();
      const wire = [end.peer.data("good"), make(end.peer), end.peer.data("never")];
      if (what === "is a repetition") wire.splice(1, 0, Buffer.from(wire[1] as Buffer));
      const text = end.open(Buffer.concat(wire));
      assert.equal(text, what === "is a repetition" ? "gooddata" : "good");
      assert.ok(end.records.error, "it was taken");
      assert.deepEqual(
        end.records.takeReply(),
        end.twin.record(21, Buffer.of(2, alert)),
        end.error,
      );
      assert.equal(end.open(end.peer.data("never")), "");
    });
  }

  test("brings nothing, one time too many", () => {
    const end = new End();
    const empty = () => end.peer.data("");
    assert.equal(
      end.open(Buffer.concat([...Array.from({ length: 40 }, empty), end.peer.data("x")])),
      "",
    );
    assert.match(end.error, /too many records without data/);
  });
});
