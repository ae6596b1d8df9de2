/**
 * A stranger at a sidecar's door: `tls-probe.ts ADDRESS PORT plain|no-certificate|self-signed`.
 *
 * Asks for `/` and prints `answered: …` if any HTTP comes back, `refused: …` if the peer ends the conversation.
 */

import net from "node:net";
import tls from "node:tls";
import * as x509 from "@peculiar/x509";

const [address = "", port = "", how = ""] = process.argv.slice(2);

function say(text: string): never {
  process.stdout.write(`${text}\n`);
  process.exit(0);
}

const socket = how === "plain" ? net.connect(Number(port), address) : await encrypted();
socket.write(`GET / HTTP/1.1\r\nhost: ${address}\r\n\r\n`);
socket.on("data", (chunk: Buffer) => say(`answered: ${chunk.toString().slice(0, 80)}`));
socket.on("error", (error) => say(`refused: ${error.message}`));
socket.on("close", () => say("refused: closed"));
socket.setTimeout(5_000, () => say("silent for 5 s"));

async function encrypted(): Promise<net.Socket> {
  const certificate = how === "self-signed" ? await selfSigned() : {};
  return tls.connect({
    host: address,
    port: Number(port),
    rejectUnauthorized: false, // the probe asks what the server accepts, not whom it trusts
    ALPNProtocols: ["istio", "http/1.1"],
    ...certificate,
  });
}

async function selfSigned(): Promise<{ readonly key: string; readonly cert: string }> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=stranger",
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        { type: "url", value: "spiffe://cluster.local/ns/shop/sa/web" },
      ]),
    ],
  });
  const key = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString(
    "base64",
  );
  return {
    cert: cert.toString("pem"),
    key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
  };
}
