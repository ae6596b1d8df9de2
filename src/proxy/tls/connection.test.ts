import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer as listen } from "node:net";
import { before, describe, test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import { createMeshCa, type MeshCa, type ProxySecrets } from "../testing/mesh-ca.ts";
import {
  type Contexts,
  contextOf,
  mutual,
  Pair,
  plain,
  read,
  sealed,
} from "../testing/tls-pair.ts";
import { TlsConnection } from "./connection.ts";

const serverId = "spiffe://cluster.local/ns/shop/sa/cart";
const clientId = "spiffe://cluster.local/ns/shop/sa/web";

let ca: MeshCa;
let serverSecrets: ProxySecrets;
let contexts: Contexts;
before(async () => {
  ca = await createMeshCa();
  serverSecrets = await ca.secrets(serverId);
  contexts = { server: contextOf(serverSecrets), client: contextOf(await ca.secrets(clientId)) };
});

describe("TLS between two ends of ours", () => {
  test("knows both peers, the protocol, and carries bytes both ways", () => {
    const pair = new Pair(contexts);
    assert.equal(pair.shake(), undefined);
    assert.equal(pair.server.protocol, "http/1.1");
    assert.equal(pair.client.protocol, "http/1.1");
    assert.equal(pair.server.peerCertificate?.subjectAltName, `URI:${clientId}`);
    assert.equal(pair.client.peerCertificate?.subjectAltName, `URI:${serverId}`);
    assert.equal(pair.server.verifyProblem, undefined);
    assert.equal(read(pair.server, sealed(pair.client, "hello")), "hello");
    assert.equal(read(pair.client, sealed(pair.server, "world")), "world");
    pair.close();
  });

  test("takes what arrives byte by byte, and many records at once", () => {
    const pair = new Pair(contexts);
    pair.shake();
    const wire = Buffer.concat([sealed(pair.client, "one"), sealed(pair.client, "two")]);
    let text = "";
    for (const byte of wire) text += read(pair.server, Buffer.of(byte));
    assert.equal(text, "onetwo");
    const many = Array.from({ length: 100 }, (_, i) => sealed(pair.client, `${i},`));
    assert.equal(read(pair.server, Buffer.concat(many)).split(",").length, 101);
    pair.close();
  });

  test("goes on from a session, and is as sure of its peer", () => {
    const first = new Pair(contexts);
    first.shake();
    const [session] = first.sessions;
    assert.ok(session);
    const second = new Pair(contexts, { session });
    const hello = second.client.handshake().output;
    const flight = second.server.handshake(hello, hello.length).output;
    const { kind, output } = second.client.handshake(flight, flight.length);
    assert.equal(kind, "done");
    assert.equal(second.server.handshake(output, output.length).kind, "done");
    assert.deepEqual([first.client.isResumed, second.client.isResumed], [false, true]);
    assert.equal(second.server.peerCertificate?.subjectAltName, `URI:${clientId}`);
    assert.equal(second.client.peerCertificate?.subjectAltName, `URI:${serverId}`);
    assert.equal(second.client.verifyProblem, undefined);
    first.close();
    second.close();
  });

  test("goes on without OpenSSL wherever the first records, changes of keys among them, are cut", () => {
    for (let cut = 0; ; cut += 37) {
      const pair = new Pair(contexts, { keyLife: -1 }); // each seal changes keys
      const tickets = pair.shakeHands();
      assert.ok(Buffer.isBuffer(tickets));
      const first = [tickets, sealed(pair.server, "one"), sealed(pair.server, "two")];
      const wire = Buffer.concat(first);
      const text = read(pair.client, wire.subarray(0, cut)) + read(pair.client, wire.subarray(cut));
      assert.equal(text, "onetwo", `cut at ${cut}: ${pair.client.error}`);
      assert.equal(pair.sessions.length, 1);
      for (const [from, to] of [
        [pair.client, pair.server],
        [pair.server, pair.client],
      ] as const) {
        assert.equal(read(to, sealed(from, "three")), "three", `cut at ${cut}: ${to.error}`);
      }
      pair.close();
      if (cut >= wire.length) break;
    }
  });

  test("takes what comes in one breath with the end of the handshake", () => {
    const pair = new Pair(contexts);
    const hello = pair.client.handshake().output;
    const flight = pair.server.handshake(hello, hello.length).output;
    const finished = pair.client.handshake(flight, flight.length).output;
    const wire = Buffer.concat([finished, sealed(pair.client, "one"), sealed(pair.client, "two")]);
    const head = wire.subarray(0, wire.length - 5);
    assert.equal(pair.server.handshake(head, head.length).kind, "done");
    assert.equal(plain.toString("latin1", 0, pair.server.open(undefined, 0, plain)), "one");
    assert.equal(read(pair.server, wire.subarray(wire.length - 5)), "two");
    pair.close();
  });

  test("changes keys once one has protected its share, in both directions", () => {
    const pair = new Pair(contexts, { keyLife: 10 });
    pair.shake();
    for (let i = 0; i < 40; i++) {
      assert.equal(read(pair.server, sealed(pair.client, `request ${i}`)), `request ${i}`);
      assert.equal(read(pair.client, sealed(pair.server, `answer ${i}`)), `answer ${i}`);
    }
    pair.close();
  });

  test("is broken by a read full of changes of keys with data between or not", () => {
    for (const data of ["", "x"]) {
      const pair = new Pair(contexts, { keyLife: -1 }); // each seal changes keys
      pair.shake();
      const changes: Buffer[] = [];
      for (let i = 0; i < 1_000; i++) changes.push(sealed(pair.client, data));
      assert.equal(read(pair.server, Buffer.concat(changes)), data.repeat(32));
      assert.match(String(pair.server.error), /too many records without data/);
      pair.close();
    }
  });

  test("is broken by changes of keys without end, however few come at a time", () => {
    const pair = new Pair(contexts, { keyLife: -1 }); // each seal changes keys
    pair.shake();
    let reads = 0;
    while (pair.server.error === undefined && reads++ < 100) {
      read(pair.server, Buffer.concat(Array.from({ length: 8 }, () => sealed(pair.client, ""))));
    }
    assert.match(String(pair.server.error), /too many records without data/);
    pair.close();
  });

  test("is broken by changes of keys without end that each bring a byte", () => {
    const pair = new Pair(contexts, { keyLife: -1 }); // each seal changes keys
    pair.shake();
    let reads = 0;
    while (pair.server.error === undefined && reads < 1_000) {
      read(pair.server, sealed(pair.client, "x"));
      reads++;
    }
    assert.match(String(pair.server.error), /too many changes of keys/);
    assert(reads > 32, `${reads} reads`);
    pair.close();
  });

  test("cannot be used once it is closed, where its memory is another's", () => {
    const pair = new Pair(contexts);
    pair.shake();
    pair.close();
    const closed = { code: "heddle.assumption", message: /connection that is closed/ };
    const { server } = pair;
    const uses = [
      () => server.handshake(),
      () => server.open(Buffer.from("x"), 1, plain),
      () => server.seal(Buffer.from("x"), 0, 1, plain),
      () => server.end(),
      () => server.protocol,
      () => server.isResumed,
      () => server.peerCertificate,
      () => server.verifyProblem,
    ];
    for (const use of uses) assert.throws(use, closed, String(use));
    pair.close(); // once more is nothing
    const other = new Pair(contexts); // nothing of it is left in the shared memory
    assert.equal(other.shake(), undefined);
    other.close();
  });

  test("leaves nothing for others of what comes after it has broken or ended", () => {
    const broken = new Pair(contexts);
    const ended = new Pair(contexts);
    broken.shake();
    ended.shake();
    read(broken.server, randomBytes(100));
    read(ended.server, ended.client.end());
    for (const { server } of [broken, ended]) {
      assert.equal(read(server, randomBytes(100)), "");
      const other = new Pair(contexts);
      assert.equal(other.shake(), undefined);
      other.close();
    }
    assert.equal(broken.server.handshake(randomBytes(100), 100).kind, "broken");
    const other = new Pair(contexts);
    assert.equal(other.shake(), undefined);
    for (const pair of [broken, ended, other]) pair.close();
  });

  test("cannot shake hands again, and leaves nothing for others where that is tried", () => {
    const pair = new Pair(contexts);
    pair.shake();
    for (const end of [pair.server, pair.client]) {
      assert.throws(() => end.handshake(randomBytes(50), 50), { code: "heddle.assumption" });
    }
    const other = new Pair(contexts);
    assert.equal(other.shake(), undefined);
    pair.close();
    other.close();
  });

  test("tells an end from a break, and reads on after its own end", () => {
    const pair = new Pair(contexts);
    pair.shake();
    assert.equal(read(pair.server, pair.client.end()), "");
    assert.equal(pair.server.hasPeerClosed, true);
    assert.equal(pair.server.error, undefined);
    assert.equal(read(pair.client, sealed(pair.server, "still here")), "still here");
    pair.close();
  });

  test("refuses one who has no common protocol, or is of another authority", async () => {
    const stranger = new Pair(contexts, { alpn: ["gopher"] });
    assert.match(String(stranger.shake()), /proxy\.tls\.broken|no.application.protocol/i);
    stranger.close();
    const other = await createMeshCa();
    const secrets = await other.secrets(serverId);
    const impostor = new Pair({ ...contexts, server: contextOf(secrets, ca.roots) });
    assert.match(String(impostor.shake()), /self.signed certificate|unable to get local issuer/);
    impostor.close();
  });
});

describe("TLS with Node's at the other end", () => {
  const blob = randomBytes(1_000_000);
  const digest = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

  /** Runs `connection` over a plain socket to `port` until the peer has sent as much as `expected`. */
  async function exchange(
    connection: TlsConnection,
    port: number,
    sends: Buffer,
    expected: number,
  ): Promise<Buffer> {
    const socket = connectTcp(port, "127.0.0.1");
    await once(socket, "connect");
    const received: Buffer[] = [];
    let total = 0;
    let isDone = false;
    const take = (bytes: Buffer | undefined): void => {
      if (!isDone) {
        const step = connection.handshake(bytes, bytes?.length ?? 0);
        socket.write(step.output);
        if (step.kind === "broken") throw step.error;
        if (step.kind === "going-on") return;
        isDone = true;
        for (let at = 0; at < sends.length; at += 50_000) {
          socket.write(sealed(connection, sends.subarray(at, at + 50_000)));
        }
        bytes = undefined;
      }
      const length = connection.open(bytes, bytes?.length ?? 0, plain);
      received.push(Buffer.from(plain.subarray(0, length)));
      total += length;
    };
    take(undefined);
    for await (const bytes of socket as AsyncIterable<Buffer>) {
      for (let at = 0; at < bytes.length; at += 65_536) take(bytes.subarray(at, at + 65_536));
      if (total >= expected) break;
    }
    return Buffer.concat(received);
  }

  test("carries a megabyte each way over twenty changes of keys", async (context) => {
    const [own, trust] = serverSecrets;
    const options = { key: own.key, cert: own.chain, ca: trust.roots, requestCert: true };
    const server = createServer(options, (socket: TLSSocket) => {
      let seen = 0;
      const hash = createHash("sha256");
      socket.on("error", () => {});
      socket.on("data", (bytes: Buffer) => {
        hash.update(bytes);
        seen += bytes.length;
        if (seen === blob.length) socket.write(Buffer.concat([blob, hash.digest()]));
      });
    });
    context.after(() => server.close());
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    const settings = { alpn: [], sni: "", isVerified: true, onSession: () => {} };
    const connection = TlsConnection.connect(contexts.client, settings, 3);
    const answer = await exchange(connection, port, blob, blob.length + 32);
    assert.equal(digest(answer.subarray(0, blob.length)), digest(blob));
    assert.equal(answer.subarray(blob.length).toString("hex"), digest(blob));
    connection.close();
  });

  test("is not begun without the name or the protocols that it should be begun with", () => {
    const long = "a".repeat(300);
    const begun = (sni: string, alpn: readonly string[]) => {
      const settings = { alpn, sni, isVerified: true, onSession: () => {} };
      return TlsConnection.connect(contexts.client, settings);
    };
    const cases: readonly (readonly [TlsConnection, problem: string])[] = [
      [begun(long, ["h2"]), "want a server name of 1 to 255 bytes, got 300"],
      [begun("a.example", ["h2", long]), "want a protocol of 1 to 255 bytes, got 300"],
      [begun("a.example", [""]), "want a protocol of 1 to 255 bytes, got 0"],
      [
        TlsConnection.accept(contexts.server, { ...mutual, alpn: [long] }),
        "want a protocol of 1 to 255 bytes, got 300",
      ],
    ];
    for (const [connection, problem] of cases) {
      const step = connection.handshake();
      assert.equal(step.output.length, 0, "it has begun");
      assert.match(String(step.kind === "broken" && step.error), new RegExp(problem));
      connection.close();
    }
  });

  test("takes nothing older than TLS 1.3", async (context) => {
    const connection = TlsConnection.accept(contexts.server, mutual);
    const server = listen((socket) => {
      socket.on("data", (bytes: Buffer) => {
        const step = connection.handshake(bytes, bytes.length);
        socket.end(step.output);
        assert.equal(step.kind, "broken");
      });
    });
    context.after(() => server.close());
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    const client = connect({ port, host: "127.0.0.1", maxVersion: "TLSv1.2", ca: ca.roots });
    const [error] = await once(client, "error");
    assert.match(String(error), /protocol version/);
    connection.close();
  });
});
