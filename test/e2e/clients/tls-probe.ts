/**
 * A stranger at a sidecar's door: `tls-probe.ts ADDRESS PORT plain|no-certificate|strange-authority`.
 *
 * Asks for `/` and prints `answered: …` if any HTTP comes back, `refused: …` if the peer ends the conversation.
 */

import net from "node:net";
import tls from "node:tls";
import { createAuthority, openAuthority } from "../../../src/pki/authority.ts";
import { createKeyAndCsr } from "../../../src/pki/key.ts";

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
  const certificate = how === "strange-authority" ? await fromStrangeAuthority() : {};
  return tls.connect({
    host: address,
    port: Number(port),
    rejectUnauthorized: false, // the probe asks what the server accepts, not whom it trusts
    ALPNProtocols: ["istio", "http/1.1"],
    ...certificate,
  });
}

/** The identity that would be let in, certified by an authority that the mesh does not know. */
async function fromStrangeAuthority(): Promise<{ readonly key: string; readonly cert: string }> {
  const identity = "spiffe://cluster.local/ns/shop/sa/web";
  const authority = await openAuthority(await createAuthority("cluster.local", Date.now), Date.now);
  const { key, csrPem } = await createKeyAndCsr(identity);
  const chain = await authority.issueWorkload(csrPem, identity);
  return { key: key.reveal(), cert: chain.join("") };
}
