/**
 * The HTTP face of the API: a request becomes a caller, a target and a verb, and its outcome an answer.
 *
 * Every refusal is a Kubernetes Status object. `extensions` answers the paths that are Heddle's own (`/heddle/v1/…`).
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import { MeshError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { Store } from "../../store/store.ts";
import { badRequest } from "./body.ts";
import { type Caller, checkRead } from "./caller.ts";
import { discoveryAt } from "./discovery.ts";
import type { Objects } from "./objects.ts";
import { parseTarget, type Target } from "./paths.ts";
import { parseSelection } from "./selection.ts";
import { statusOf } from "./status.ts";
import { serveWatch, shown } from "./watch.ts";
import { type Answer, serveWrite } from "./write.ts";

export interface ApiOptions {
  readonly store: Store;
  readonly objects: Objects;
  /** Throws `api.unauthorized`. */
  readonly authenticate: (request: IncomingMessage) => Caller;
  /** Undefined where the path is not one of its own. */
  readonly extensions: Extensions;
  readonly log: Log;
  /** Ends watches when the server stops. */
  readonly signal: AbortSignal;
}

export interface ExtensionRequest {
  readonly method: string;
  readonly pathname: string;
  readonly query: URLSearchParams;
  readonly caller: Caller;
  readonly request: IncomingMessage;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
}

/** An answer, or who writes one bit by bit for as long as the client listens. */
export type ExtensionAnswer = Answer | { readonly stream: (response: ServerResponse) => void };

export type Extensions = (request: ExtensionRequest) => Promise<ExtensionAnswer> | undefined;

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** 25 days: a timer of Node's for longer than that goes off at once. */
const longestTimeoutMs = 2 ** 31 - 1;

export function apiHandler(options: ApiOptions): Handler {
  return (request, response) => {
    serve(options, request, response).catch((error: unknown) => {
      const status = statusOf(error);
      if (status.code >= 500) {
        options.log.error("request failed", { url: request.url, error: status.message });
      }
      if (response.headersSent) response.destroy();
      else answer(response, { code: status.code, body: status });
    });
  };
}

async function serve(
  options: ApiOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { store } = options;
  const method = request.method ?? "GET";
  const { pathname, searchParams: query } = urlOf(request);
  if (["/healthz", "/livez", "/readyz"].includes(pathname)) {
    response.writeHead(200, { "content-type": "text/plain" }).end("ok");
    return;
  }

  const caller = options.authenticate(request);
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  const extended = options.extensions({
    method,
    pathname,
    query,
    caller,
    request,
    signal: gone.signal,
  });
  if (extended !== undefined) {
    const answered = await extended;
    if ("stream" in answered) answered.stream(response);
    else answer(response, answered);
    return;
  }

  const discovered = method === "GET" ? discoveryAt(pathname) : undefined;
  if (discovered !== undefined) return answer(response, { code: 200, body: discovered });

  const target = parseTarget(pathname);
  if (target === undefined) {
    throw new MeshError("api.absent", `there is no ${pathname}`, { fault: "user" });
  }
  if (method !== "GET")
    return answer(response, await serveWrite(options.objects, caller, target, request, query));

  checkRead(caller, target.kind.kind);
  if (target.name !== undefined && !isTrue(query.get("watch"))) {
    const { kind, namespace = "", name } = target;
    const object = await options.objects.get({ kind: kind.kind, namespace, name });
    return answer(response, { code: 200, body: shown(object, target) });
  }
  if (target.name !== undefined) query.set("fieldSelector", `metadata.name=${target.name}`);
  const selection = parseSelection(query);
  if (isTrue(query.get("watch"))) {
    const timeoutSeconds = Number(query.get("timeoutSeconds") ?? 0);
    const resourceVersion = query.get("resourceVersion");
    return serveWatch(
      store,
      {
        target,
        selection,
        ...(resourceVersion && { resourceVersion }),
        bookmarks: isTrue(query.get("allowWatchBookmarks")),
        ...(timeoutSeconds > 0 && { timeoutMs: Math.min(timeoutSeconds * 1000, longestTimeoutMs) }),
      },
      response,
      options.signal,
    );
  }
  const { version, objects } = await store.list(target.kind.kind, target.namespace);
  answer(response, { code: 200, body: listOf(target, version, objects.filter(selection)) });
}

/** Only its path and query mean something. */
function urlOf({ url = "/" }: IncomingMessage): URL {
  // Not relative to a base: two slashes at its beginning would lead to another host.
  const parsed = URL.parse(url.startsWith("/") ? `http://heddle${url}` : url);
  if (parsed !== null) return parsed;
  throw badRequest(`read a request: want a path such as /api/v1/nodes, got "${url}"`);
}

function listOf(target: Target, version: number, objects: readonly Parameters<typeof shown>[0][]) {
  return {
    kind: `${target.kind.kind}List`,
    apiVersion: target.apiVersion,
    metadata: { resourceVersion: String(version) },
    items: objects.map((object) => shown(object, target)),
  };
}

function answer(response: ServerResponse, { code, body, warnings = [] }: Answer): void {
  const text = JSON.stringify(body);
  response.setHeader("content-type", "application/json");
  response.setHeader("content-length", Buffer.byteLength(text));
  if (warnings.length > 0) response.setHeader("warning", warnings.map(warningHeader));
  response.writeHead(code);
  response.end(text);
}

/** RFC 7234 §5.5: code, agent, quoted text; one line of ASCII. */
function warningHeader(text: string): string {
  const plain = text.replaceAll(/[^\x20-\x7e]/g, "?").replaceAll(/["\\]/g, "\\$&");
  return `299 - "${plain}"`;
}

function isTrue(value: string | null): boolean {
  return value === "true" || value === "1";
}
