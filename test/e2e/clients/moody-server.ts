/**
 * A server that says which pod it is, remembers which hosts it was asked for, and is as well as it is told to be: POST
 * /mood?status=503, and GET /healthz answers that. Listens on each port of its arguments.
 */

import http from "node:http";
import { hostname } from "node:os";

let health = 200;
const hosts: (string | undefined)[] = [];

function answer(request: http.IncomingMessage, response: http.ServerResponse): void {
  const url = new URL(request.url ?? "/", "http://server");
  if (url.pathname === "/healthz") response.writeHead(health).end();
  else if (url.pathname === "/mood") {
    health = Number(url.searchParams.get("status"));
    response.end("so be it\n");
  } else if (url.pathname === "/hosts") response.end(JSON.stringify(hosts));
  else {
    hosts.push(request.headers.host);
    response.end(`${hostname()}\n`);
  }
}

for (const port of process.argv.slice(2)) http.createServer(answer).listen(Number(port));
process.once("SIGTERM", () => process.exit(0));
