/** Stand-in for httpbin: the few paths that samples and tests ask for, on PORT (8080). */

import type { IncomingMessage } from "node:http";
import { podName, serveHttp } from "./serving.ts";

serveHttp([Number(process.env["PORT"] ?? 8080)], async (request, url, body) => {
  const [, first = "", second = ""] = url.pathname.split("/");
  switch (first) {
    case "status":
      return { status: Number(second) || 400, body: "" };
    case "delay": {
      const seconds = Math.min(10, Number(second) || 0);
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      return { body: described(request, url, body) };
    }
    case "headers":
      return { body: { headers: request.headers } };
    case "ip":
      return { body: { origin: request.socket.remoteAddress } };
    case "user-agent":
      return { body: { "user-agent": request.headers["user-agent"] } };
    case "bytes":
      return { body: "x".repeat(Math.min(1_000_000, Number(second) || 0)) };
    case "hostname":
      return { body: { hostname: podName } };
    case "":
    case "get":
    case "post":
    case "put":
    case "delete":
    case "anything":
      return { body: described(request, url, body) };
    default:
      return { status: 404, body: { error: `there is no ${url.pathname}` } };
  }
});

function described(request: IncomingMessage, url: URL, body: string): unknown {
  return {
    args: Object.fromEntries(url.searchParams),
    data: body,
    headers: request.headers,
    method: request.method,
    origin: request.socket.remoteAddress,
    url: url.href,
  };
}
