import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import { inspect } from "node:util";
import { createAuthority, openAuthority, workloadLifetimeMs } from "./authority.ts";
import { certificateFacts } from "./certificate.ts";
import { createKeyAndCsr } from "./key.ts";
import { newKeyPair, x509 } from "./x509.ts";

const cart = "spiffe://cluster.local/ns/shop/sa/cart";
const material = await createAuthority("cluster.local", Date.now);
const authority = await openAuthority(material, Date.now);

describe("the certificate authority", () => {
  test("certifies the identity it is told, not the one the request claims", async () => {
    const { csrPem } = await createKeyAndCsr("spiffe://cluster.local/ns/shop/sa/admin");
    const [leaf = "", root = ""] = await authority.issueWorkload(csrPem, cart);
    assert.equal(certificateFacts(leaf).identity, cart);
    const certificate = new X509Certificate(leaf);
    assert.equal(certificate.subjectAltName, `URI:${cart}`);
    assert.ok(certificate.verify(new X509Certificate(root).publicKey));
    assert.ok(certificate.checkIssued(new X509Certificate(root)));
    assert.equal(certificate.ca, false);
  });

  test("gives certificates a day, and a start that peers with slow clocks accept", async () => {
    const before = Date.now();
    const { csrPem } = await createKeyAndCsr(cart);
    const [leaf = ""] = await authority.issueWorkload(csrPem, cart);
    const { notBeforeMs, notAfterMs } = certificateFacts(leaf);
    assert.ok(notBeforeMs <= before - 60_000);
    assert.ok(Math.abs(notAfterMs - before - workloadLifetimeMs) < 60_000);
  });

  test("never gives a serial number twice", async () => {
    const { csrPem } = await createKeyAndCsr(cart);
    const chains = await Promise.all([1, 2, 3].map(() => authority.issueWorkload(csrPem, cart)));
    assert.equal(new Set(chains.map(([leaf = ""]) => certificateFacts(leaf).serial)).size, 3);
  });

  test("refuses a request that another key signed", async () => {
    const { csrPem } = await createKeyAndCsr(cart);
    const der = Buffer.from(x509.PemConverter.decodeFirst(csrPem));
    der[der.length - 4] = (der[der.length - 4] ?? 0) ^ 0xff;
    const forged = x509.PemConverter.encode(der, "CERTIFICATE REQUEST");
    await assert.rejects(authority.issueWorkload(forged, cart), { code: "pki.csr" });
    await assert.rejects(authority.issueWorkload("not PEM", cart), { code: "pki.csr" });
  });

  test("refuses a key that is too weak", async () => {
    const alg = {
      name: "RSASSA-PKCS1-v1_5",
      modulusLength: 1024,
      publicExponent: new Uint8Array([1, 0, 1]),
      hash: "SHA-256",
    };
    const keys = await crypto.subtle.generateKey(alg, true, ["sign", "verify"]);
    const csr = await x509.Pkcs10CertificateRequestGenerator.create({
      keys,
      signingAlgorithm: alg,
    });
    await assert.rejects(authority.issueWorkload(csr.toString("pem"), cart), {
      code: "pki.csr",
      message: /RSASSA-PKCS1-v1_5 1024/,
    });
  });

  test("is the same authority when opened again from what was kept", async () => {
    const again = await openAuthority(material, Date.now);
    assert.equal(again.rootPem, authority.rootPem);
    const { csrPem } = await createKeyAndCsr(cart);
    const [leaf = ""] = await again.issueWorkload(csrPem, cart);
    assert.ok(new X509Certificate(leaf).verify(new X509Certificate(authority.rootPem).publicKey));
  });
});

test("mutual TLS 1.3 between a server and a workload of the authority succeeds", async () => {
  const server = await authority.issueServer(["localhost"], ["127.0.0.1"]);
  const client = await createKeyAndCsr(cart);
  const chain = await authority.issueWorkload(client.csrPem, cart);
  const listener = createServer({
    key: server.keyPem.reveal(),
    cert: server.certPem,
    ca: authority.rootPem,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: "TLSv1.3",
  });
  const { promise, resolve } = Promise.withResolvers<TLSSocket>();
  listener.on("secureConnection", resolve);
  await new Promise<void>((done) => listener.listen(0, "127.0.0.1", done));
  const address = listener.address();
  const socket = connect({
    host: "127.0.0.1",
    port: typeof address === "object" ? (address?.port ?? 0) : 0,
    ca: authority.rootPem,
    key: client.key.reveal(),
    cert: chain.join(""),
  });
  const peer = (await promise).getPeerCertificate();
  assert.equal(peer.subjectaltname, `URI:${cart}`);
  socket.destroy();
  listener.close();
});

test("keys do not print", async () => {
  const { key } = await createKeyAndCsr(cart);
  for (const text of [inspect(key), String(key), JSON.stringify({ key }), `${key}`]) {
    assert.doesNotMatch(text, /PRIVATE/);
  }
  assert.match(key.reveal(), /^-----BEGIN PRIVATE KEY-----/);
  assert.ok(await newKeyPair());
});
