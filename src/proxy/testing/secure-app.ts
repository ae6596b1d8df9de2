/** An application for tests that speaks TLS of its own. */

import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Harness } from "./harness.ts";
import type { WebCertificate } from "./web-certificate.ts";

export interface SecureApp {
  readonly port: number;
  /** What clients asked for. */
  readonly names: string[];
  readonly fields: Set<string>;
}

/** `clients`: whose certificate it demands. */
export async function secureApp(
  harness: Harness,
  own: WebCertificate,
  clients?: WebCertificate,
): Promise<SecureApp> {
  const names: string[] = [];
  const fields = new Set<string>();
  const demands =
    clients === undefined ? {} : { ca: clients.chain, requestCert: true, rejectUnauthorized: true };
  const server = createServer({ cert: own.chain, key: own.key, ...demands }, (req, res) => {
    for (const name of Object.keys(req.headers)) fields.add(name);
    res.end("own");
  });
  server.on("secureConnection", (socket: TLSSocket & { readonly servername?: string }) => {
    names.push(socket.servername ?? "");
  });
  server.on("tlsClientError", () => {});
  await once(server.listen(0, "127.0.0.1"), "listening");
  harness.atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, names, fields };
}
