import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DownstreamTls } from "../../model/proxy-config.ts";
import { createMeshCa } from "../testing/mesh-ca.ts";
import { TlsConnection } from "../tls/connection.ts";
import { TlsContext } from "../tls/context.ts";
import { maxPlainBytes } from "../tls/record-layer.ts";
import { TlsContexts } from "./tls-contexts.ts";

const chain = (requireClientCertificate: boolean): DownstreamTls => ({
  requireClientCertificate,
  alpn: [],
  certificate: "default",
  validation: "ROOTCA",
  clients: { kind: "mesh" },
});

describe("a session of a client without a certificate", () => {
  test("made where one is asked for is of no use where one is required", async () => {
    const ca = await createMeshCa();
    const secrets = await ca.secrets("spiffe://cluster.local/ns/shop/sa/cart");
    const contexts = new TlsContexts(secrets, {
      trustDomain: "cluster.local",
      meshTls: "openssl",
    });
    const nameless = new TlsContext({
      own: undefined,
      roots: ca.roots,
      sessionName: "",
      sessionSeconds: 60,
    });
    const sessions: Buffer[] = [];
    /** What breaks it; undefined: nothing. */
    const shake = (requireClientCertificate: boolean, session?: Buffer) => {
      const context = contexts.forChain(chain(requireClientCertificate));
      assert.ok(context instanceof TlsContext);
      const demands = { alpn: [], asksForCertificate: true, requireClientCertificate };
      const server = TlsConnection.accept(context, demands);
      const kept = session === undefined ? {} : { session };
      const onSession = (one: Buffer) => sessions.push(one);
      const wanted = { alpn: [], sni: "cart", isVerified: true, onSession, ...kept };
      const client = TlsConnection.connect(nameless, wanted);
      let toClient = Buffer.alloc(0);
      for (let i = 0; i < 3; i++) {
        const said = client.handshake(toClient, toClient.length);
        const answer = server.handshake(said.output, said.output.length);
        toClient = Buffer.from(answer.output);
        if (answer.kind === "broken") return answer.error.message;
        if (said.kind === "done" && answer.kind === "done") break;
      }
      client.open(toClient, toClient.length, Buffer.alloc(maxPlainBytes)); // tickets
      assert.equal(server.isResumed, session !== undefined);
      client.close();
      server.close();
      return undefined;
    };
    assert.equal(shake(false), undefined);
    assert.equal(shake(false, sessions[0]), undefined);
    assert.match(shake(true, sessions[1]) ?? "", /peer did not return a certificate/);
  });

  test("is held apart the same way where TLS is left to Node", async () => {
    const ca = await createMeshCa();
    const secrets = await ca.secrets("spiffe://cluster.local/ns/shop/sa/cart");
    const contexts = new TlsContexts(secrets, { trustDomain: "cluster.local", meshTls: "node" });
    // A ticket is sealed with a key of its context.
    assert.notEqual(contexts.forChain(chain(true)), contexts.forChain(chain(false)));
    assert.equal(contexts.forChain(chain(true)), contexts.forChain(chain(true)));
  });
});
