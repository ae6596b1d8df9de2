/**
 * `GET /metrics` where Prometheus looks for it: istiod's port, in the clear and to anybody who reaches it, as istiod's and
 * the sidecars' own. There are numbers in it, and no name of anything that a user wrote.
 */

import { createServer, type Server } from "node:http";
import { renderText, textContentType } from "../telemetry/exposition.ts";
import type { MetricRegistry } from "../telemetry/registry.ts";

/** Scrapers are few; whoever opens more connections than that is none. */
const mostConnections = 64;

/** Not listening yet. */
export function metricsServer(registry: MetricRegistry): Server {
  const server = createServer((request, response) => {
    const [path] = (request.url ?? "").split("?");
    const isRead = request.method === "GET" || request.method === "HEAD";
    if (path !== "/metrics" || !isRead) {
      response.writeHead(404, { "content-type": "text/plain" });
      response.end("no such path; there is GET /metrics\n");
      return;
    }
    response.writeHead(200, { "content-type": textContentType });
    response.end(renderText(registry));
  });
  server.maxConnections = mostConnections;
  return server;
}
