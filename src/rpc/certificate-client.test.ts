import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { trustDomain } from "../model/names.ts";
import { createAuthority, openAuthority } from "../pki/authority.ts";
import { createCertificateClient } from "./certificate-client.ts";
import { serveGrpc } from "./grpc-server.ts";
import { methods } from "./methods.ts";

describe("a request for a certificate", () => {
  test("whose answer is no message fails, and does not end the process", async () => {
    const authority = await openAuthority(await createAuthority(trustDomain, Date.now), Date.now);
    const { keyPem, certPem } = await authority.issueServer([], ["127.0.0.1"]);
    const listen = { kind: "tls", host: "127.0.0.1", port: 0, keyPem, certPem } as const;
    const cut = Uint8Array.of(0x0a, 0x7f); // a field of 127 bytes, of which none is there
    const server = await serveGrpc(listen, {
      streams: {},
      calls: { [methods.createCertificate]: () => Promise.resolve(cut) },
    });
    const target = `127.0.0.1:${server.port}`;
    const client = createCertificateClient({ target, token: "any", roots: authority.rootPem });
    try {
      const pod = { namespace: "shop", name: "web", uid: "1" };
      await assert.rejects(client.issue({ csrPem: "", pod }), { code: "xds.malformed" });
    } finally {
      client.close();
      await server.close();
    }
  });
});
