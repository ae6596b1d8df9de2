/**
 * Opens connections, uses each once, and keeps them: `idle-client-process.ts PORT CONNECTIONS KIND [FOLDER]`.
 *
 * KIND is `http` (one request and its answer), `mtls` (the same inside mutual TLS, with the certificates in FOLDER), or
 * `tcp` (a byte there, and a byte back). Prints a line once all idle, and keeps them until it is ended. It knows no roots: Node
 * would send one behind its certificate, which sidecars do not.
 */

import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { connect as connectTls, createSecureContext } from "node:tls";
import { host } from "./sidecars.ts";

const [port = "", count = "", kind = "http", folder = ""] = process.argv.slice(2);
const atOnce = 50;

const file = (name: string) => readFileSync(join(folder, name));
const context =
  kind === "mtls"
    ? createSecureContext({ key: file("web-key.pem"), cert: file("web-chain.pem") })
    : undefined;
const first = kind === "tcp" ? "x" : `GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`;
const ok = "HTTP/1.1 200 ";
const kept: Socket[] = [];

while (kept.length < Number(count)) {
  kept.push(...(await Promise.all(Array.from({ length: atOnce }, used))));
}
process.stdout.write("all idle\n");

/** A connection that has had its answer, which comes in one piece or is waited for as long as pieces come. */
function used(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port: Number(port) };
    const socket =
      context === undefined
        ? connect(options)
        : connectTls({ ...options, secureContext: context, rejectUnauthorized: false });
    let answered = 0;
    socket.on("data", (bytes: Buffer) => {
      const isWrong = answered === 0 && kind !== "tcp" && !bytes.toString().startsWith(ok);
      if (isWrong) reject(new Error(`answered with ${bytes.toString()}`));
      answered += bytes.length;
      if (answered >= (kind === "tcp" ? 1 : 1024)) resolve(socket);
    });
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("closed before it was used")));
    socket.write(first);
  });
}
