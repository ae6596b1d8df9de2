/**
 * Servers of nobody's mesh, for tests: at each address given, HTTP on 8080, TLS on 443, and on 5432 a greeting. Each says
 * who it is: how it was reached, at which address, and for which host.
 *
 * `node outside-servers.ts CHAIN KEY ADDRESS…` says `ready` once all listen.
 */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttp, type RequestListener } from "node:http";
import { createServer as createHttps } from "node:https";
import { createServer as createTcp, type Server } from "node:net";

const [chain = "", key = "", ...addresses] = process.argv.slice(2);
const tls = { cert: readFileSync(chain), key: readFileSync(key) };

const answer =
  (how: string): RequestListener =>
  (request, response) =>
    response.end(`${how} ${request.socket.localAddress} ${request.headers.host}\n`);

for (const address of addresses) {
  const servers: readonly (readonly [Server, number])[] = [
    [createHttp(answer("http")), 8080],
    [createHttps(tls, answer("tls")), 443],
    [createTcp((socket) => socket.on("error", () => {}).end(`tcp ${address}\n`)), 5432],
  ];
  for (const [server, port] of servers) await once(server.listen(port, address), "listening");
}
console.log("ready");
