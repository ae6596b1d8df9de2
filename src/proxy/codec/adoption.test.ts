/** What sockets.ts relies on in Node: that accepted handles can be adopted, plain and under TLS. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { createSecureContext } from "node:tls";
import { createMeshCa, type ProxySecrets } from "../testing/mesh-ca.ts";
import { acceptTls, adopt, connectPlain, connectWithTls, negotiatedOf } from "./sockets.ts";
import { type Reader, Transport } from "./transport.ts";

interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
}

function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((fulfil) => {
    resolve = fulfil;
  });
  return { promise, resolve };
}

class Recorder implements Reader {
  text = "";
  ended = deferred<void>();
  closed = deferred<Error | undefined>();
  onText: (text: string) => void = () => {};

  onBytes(bytes: Buffer, length: number): void {
    this.text += bytes.toString("latin1", 0, length);
    this.onText(this.text);
  }
  onEnd(): void {
    this.ended.resolve();
  }
  onDrain(): void {}
  onClose(error: Error | undefined): void {
    this.closed.resolve(error);
  }
}

/** Answers its port. */
async function listening(
  context: TestContext,
  onSocket: (socket: Socket) => Transport,
): Promise<number> {
  const transports: Transport[] = [];
  const server = createServer(
    { pauseOnConnect: true, allowHalfOpen: true, noDelay: true },
    (socket) => transports.push(onSocket(socket)),
  );
  context.after(() => {
    server.close();
    for (const transport of transports) transport.destroy();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return (server.address() as AddressInfo).port;
}

function contextFor(secrets: ProxySecrets): ReturnType<typeof createSecureContext> {
  const [own, trust] = secrets;
  return createSecureContext({
    cert: own.chain,
    key: own.key,
    ca: trust.roots,
    minVersion: "TLSv1.3",
  });
}

describe("an adopted connection", () => {
  test("reads through the shared buffer and closes each direction on its own", async (context) => {
    const peer = new Recorder();
    const port = await listening(context, (socket) => {
      const transport = new Transport(peer, (onread) => adopt(socket, onread));
      void peer.ended.promise.then(() => {
        transport.writeText(`you said ${peer.text}`);
        transport.end();
      });
      return transport;
    });
    const own = new Recorder();
    const client = new Transport(own, (onread) => connectPlain("127.0.0.1", port, onread));
    context.after(() => client.destroy());
    client.writeText("hello");
    client.end();
    await own.ended.promise;
    assert.equal(own.text, "you said hello");
    assert.equal(await own.closed.promise, undefined);
    assert.equal(await peer.closed.promise, undefined);
  });

  test("speaks TLS after its first bytes were read in the clear, and knows its peer", async (context) => {
    const ca = await createMeshCa();
    const serverContext = contextFor(await ca.secrets("spiffe://cluster.local/ns/a/sa/server"));
    const clientContext = contextFor(await ca.secrets("spiffe://cluster.local/ns/a/sa/client"));
    const inside = new Recorder();
    const seen = deferred<string | undefined>();
    const port = await listening(context, (socket) => {
      const sniffer = new Recorder();
      const raw = new Transport(sniffer, (onread) => adopt(socket, onread));
      sniffer.onText = (text) => {
        const first = Buffer.from(text, "latin1");
        assert.equal(first[0], 0x16);
        const tls = new Transport(inside, (onread) =>
          acceptTls(
            raw.socket,
            first,
            {
              context: serverContext,
              alpn: ["http/1.1"],
              requireClientCertificate: true,
              asksForCertificate: true,
            },
            onread,
          ),
        );
        const { socket: secured } = tls;
        secured.once("secure", () => {
          assert("getPeerX509Certificate" in secured);
          const tlsSocket = secured as import("node:tls").TLSSocket;
          const { verifyProblem, protocol, peerCertificate } = negotiatedOf(tlsSocket);
          assert.equal(verifyProblem, undefined);
          assert.equal(protocol, "http/1.1");
          seen.resolve(peerCertificate?.subjectAltName);
        });
        inside.onText = (body) => tls.writeText(`tls ${body}`);
        void inside.ended.promise.then(() => tls.end());
      };
      return raw;
    });
    const own = new Recorder();
    const client = new Transport(own, (onread) =>
      connectWithTls(
        "127.0.0.1",
        port,
        {
          context: clientContext,
          alpn: ["http/1.1"],
          sni: "a.b",
          isVerified: true,
          verifyPeer: () => undefined,
        },
        onread,
      ),
    );
    context.after(() => client.destroy());
    const answered = new Promise<void>((resolve) => {
      own.onText = () => resolve();
    });
    client.writeText("hi");
    assert.equal(await seen.promise, "URI:spiffe://cluster.local/ns/a/sa/client");
    await answered;
    assert.equal(own.text, "tls hi");
    client.end();
    await own.ended.promise;
    assert.equal(await own.closed.promise, undefined);
    assert.equal(await inside.closed.promise, undefined);
  });
});
