/**
 * A watch as HTTP carries it: one JSON event a line, for as long as the client listens.
 *
 * Without a version (or with 0) the present state comes first, as ADDED events, closed by a bookmark with the
 * annotation `k8s.io/initial-events-end`; a client needs no list of its own then. Bookmarks also come when nothing
 * happens, so that a client can tell a quiet server from a dead one, and always has a recent version to resume from.
 *
 * A slow client holds no queue here: the next change is read from the store's history when the last one was taken. One
 * that falls out of the history gets an ERROR event with code 410.
 */

import type { ServerResponse } from "node:http";
import type { Resource } from "../../api/resource.ts";
import { MeshError } from "../../base/error.ts";
import type { Store, StoreEvent } from "../../store/store.ts";
import type { Target } from "./paths.ts";
import type { Selection } from "./selection.ts";
import { statusOf } from "./status.ts";

export interface WatchRequest {
  readonly target: Target;
  readonly selection: Selection;
  /** Undefined or "0": from the present state on. */
  readonly resourceVersion?: string;
  readonly bookmarks: boolean;
  readonly timeoutMs?: number;
}

/** Quiet for this long, a bookmark is sent; clients give up on a server after three times as long. */
const quietMs = 15_000;

export async function serveWatch(
  store: Store,
  request: WatchRequest,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const stop = new AbortController();
  const ended = AbortSignal.any([signal, stop.signal]);
  response.on("close", () => stop.abort());
  const timeout =
    request.timeoutMs === undefined
      ? undefined
      : setTimeout(() => stop.abort(), request.timeoutMs).unref();

  response.writeHead(200, { "content-type": "application/json", "transfer-encoding": "chunked" });
  response.flushHeaders();
  const send = (type: string, object: unknown): Promise<void> =>
    drained(response, `${JSON.stringify({ type, object })}\n`, ended);
  const bookmark = (version: number | string, annotations?: Record<string, string>) =>
    send("BOOKMARK", {
      kind: request.target.kind.kind,
      apiVersion: request.target.apiVersion,
      metadata: { resourceVersion: String(version), ...(annotations && { annotations }) },
    });

  let version = 0;
  let heard = true;
  let quiet: NodeJS.Timeout | undefined;
  try {
    const { resourceVersion = "0" } = request;
    if (resourceVersion === "0") {
      const now = await store.list(request.target.kind.kind, request.target.namespace);
      version = now.version;
      for (const object of now.objects.filter(request.selection)) {
        await send("ADDED", shown(object, request.target));
      }
      if (request.bookmarks) await bookmark(version, { "k8s.io/initial-events-end": "true" });
    } else {
      version = Number(resourceVersion);
      if (!Number.isSafeInteger(version) || version < 0) {
        throw new MeshError("store.expired", `watch after version "${resourceVersion}"`);
      }
    }
    // Only now: a bookmark amid the present state would be a version that its reader does not have.
    quiet = setInterval(() => {
      if (!heard && request.bookmarks) void bookmark(version);
      heard = false;
    }, quietMs).unref();
    for await (const event of store.watch(version, ended)) {
      version = event.version;
      const type = typeFor(event, request);
      if (type === undefined) continue;
      heard = true;
      await send(type, shown(event.object, request.target));
    }
  } catch (error) {
    if (!ended.aborted) await send("ERROR", statusOf(error));
  } finally {
    clearTimeout(timeout);
    clearInterval(quiet);
    response.end();
  }
}

/** The object as the version in the path names it. */
export function shown(object: Resource, target: Target): Resource {
  return object.apiVersion === target.apiVersion
    ? object
    : { ...object, apiVersion: target.apiVersion };
}

/** What the change is to a watcher that sees only part of the objects; undefined: nothing. */
function typeFor(event: StoreEvent, { target, selection }: WatchRequest): string | undefined {
  const { object, previous } = event;
  if (object.kind !== target.kind.kind) return undefined;
  if (target.namespace !== undefined && object.metadata.namespace !== target.namespace) {
    return undefined;
  }
  const is = event.type !== "deleted" && selection(object);
  // Where history forgot the state before, it may have been selected: a deletion too many does no harm.
  const was = event.type !== "added" && (previous === undefined || selection(previous));
  if (is) return was ? "MODIFIED" : "ADDED";
  return was ? "DELETED" : undefined;
}

/** Writes, and waits while the client is not reading. */
async function drained(response: ServerResponse, text: string, ended: AbortSignal): Promise<void> {
  if (ended.aborted || response.write(text)) return;
  await new Promise<void>((resolve) => {
    const go = () => {
      response.off("drain", go);
      ended.removeEventListener("abort", go);
      resolve();
    };
    response.on("drain", go);
    ended.addEventListener("abort", go);
  });
}
