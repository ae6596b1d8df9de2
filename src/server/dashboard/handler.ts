/**
 * What a browser meets: the dashboard's files, signing in, and behind that the API that everybody else uses.
 *
 * The page may load nothing but its own files, run no inline script, and stand in no other page's frame. There is no
 * API of the dashboard's own: what it shows can be had with curl.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Handler } from "../api/handler.ts";
import { statusOf } from "../api/status.ts";
import { refuseCrossOrigin } from "../authenticate.ts";
import type { Asset, Bundle } from "./bundle.ts";
import { type SessionEndpoint, sessionPath } from "./session-endpoint.ts";

const pagePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "worker-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const notBuilt = "The dashboard is not built: run `npm run build:dashboard`, then start again.\n";

export function dashboardHandler(bundle: Bundle, session: SessionEndpoint, api: Handler): Handler {
  return (request, response) => {
    response.setHeader("x-content-type-options", "nosniff");
    response.setHeader("referrer-policy", "no-referrer");
    response.setHeader("cross-origin-resource-policy", "same-origin");
    const pathname = (request.url ?? "/").split("?", 1)[0] ?? "/";
    if (pathname === sessionPath) return void serveSession(session, request, response);
    const asset = bundle.get(pathname);
    if (asset !== undefined) return serveAsset(asset, request, response);
    if (pathname === "/") {
      response.writeHead(503, { "content-type": "text/plain" }).end(notBuilt);
      return;
    }
    api(request, response);
  };
}

function serveAsset(asset: Asset, request: IncomingMessage, response: ServerResponse): void {
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.writeHead(405, { allow: "GET, HEAD" }).end();
    return;
  }
  const takesGzip = /\bgzip\b/.test(String(request.headers["accept-encoding"] ?? ""));
  const body = takesGzip && asset.gzip !== undefined ? asset.gzip : asset.body;
  response.writeHead(200, {
    "content-type": asset.type,
    "content-length": body.length,
    "cache-control": asset.cacheControl,
    "content-security-policy": pagePolicy,
    vary: "accept-encoding",
    ...(body === asset.gzip && { "content-encoding": "gzip" }),
  });
  response.end(request.method === "HEAD" ? undefined : body);
}

async function serveSession(
  session: SessionEndpoint,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const send = (code: number, body: unknown, setCookie?: string) => {
    response.writeHead(code, {
      "content-type": "application/json",
      "cache-control": "no-store",
      ...(setCookie !== undefined && { "set-cookie": setCookie }),
    });
    response.end(JSON.stringify(body));
  };
  try {
    refuseCrossOrigin(request);
    const { code, body, setCookie } = await session.answer(request);
    send(code, body, setCookie);
  } catch (error) {
    const status = statusOf(error);
    send(status.code, status);
  }
}
