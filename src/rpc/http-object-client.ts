/**
 * An ObjectClient over HTTP.
 *
 * Requests are made once: whether to try again is the caller's to know. Watches are kept up instead: a broken one is
 * resumed from the last version seen, and only where the server's history has moved on is the whole picture sent
 * again (`synced`), so that a restarted server costs its watchers what changed and nothing else.
 */

import { backoffMs } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { MeshError } from "../base/error.ts";
import { isRecord } from "../base/json.ts";
import type { Random } from "../base/random.ts";
import { apiError, statusError } from "./api-error.ts";
import type { HttpTransport, TransportRequest } from "./http-transport.ts";
import type { ApiObject, ObjectClient, ObjectEvent, PathOf } from "./object-client.ts";

export interface HttpObjectClientOptions {
  readonly transport: HttpTransport;
  readonly pathOf: PathOf;
  readonly clock: Clock;
  readonly random: Random;
  /** Whose fields `apply` writes, e.g. `heddle` for people, `heddle-agent`. */
  readonly fieldManager?: string;
  /** What the server makes of warnings; Strict refuses objects that have any. */
  readonly fieldValidation?: "Strict" | "Warn" | "Ignore";
  /** Told of the server's warnings under `Warn`. */
  readonly onWarning?: (text: string) => void;
}

const backoff = { baseMs: 50, maxMs: 2_000 };
/** The server breaks a silence after 15 s; three missed are a dead server or a dead path to it. */
const silenceMs = 45_000;

export function httpObjectClient(options: HttpObjectClientOptions): ObjectClient {
  const { transport, pathOf, fieldManager = "heddle", fieldValidation = "Strict" } = options;
  const writing = `fieldManager=${encodeURIComponent(fieldManager)}&fieldValidation=${fieldValidation}`;

  async function call(request: TransportRequest): Promise<unknown> {
    const response = await transport.send(request);
    if (response.code >= 400) throw apiError(response);
    for (const warning of response.warnings) options.onWarning?.(warning);
    return response.body;
  }

  const pathTo = ({ kind, metadata }: ApiObject): string =>
    pathOf(kind, metadata.namespace, metadata.name);

  return {
    async get<T extends ApiObject>(kind: string, namespace: string, name: string) {
      try {
        const path = pathOf(kind, namespaceOr(namespace), name);
        return (await call({ method: "GET", path })) as T;
      } catch (error) {
        if (error instanceof MeshError && error.code === "api.absent") return undefined;
        throw error;
      }
    },

    async list<T extends ApiObject>(kind: string, namespace?: string) {
      const path = pathOf(kind, namespaceOr(namespace));
      const body = (await call({ method: "GET", path })) as {
        readonly apiVersion: string;
        readonly metadata: { readonly resourceVersion: string };
        readonly items: readonly T[];
      };
      return { version: body.metadata.resourceVersion, objects: body.items };
    },

    async create<T extends ApiObject>(object: T) {
      const path = `${pathOf(object.kind, object.metadata.namespace)}?${writing}`;
      return (await call({ method: "POST", path, body: object })) as T;
    },

    async update<T extends ApiObject>(object: T) {
      return (await call({
        method: "PUT",
        path: `${pathTo(object)}?${writing}`,
        body: object,
      })) as T;
    },

    async patchStatus<T extends ApiObject>(
      kind: string,
      namespace: string,
      name: string,
      status: unknown,
    ) {
      return (await call({
        method: "PATCH",
        path: `${pathOf(kind, namespaceOr(namespace), name)}/status`,
        mediaType: "application/merge-patch+json",
        body: { status },
      })) as T;
    },

    async apply<T extends ApiObject>(object: T) {
      return (await call({
        method: "PATCH",
        path: `${pathTo(object)}?${writing}&force=true`,
        mediaType: "application/apply-patch+yaml",
        body: object,
      })) as T;
    },

    async delete(kind, namespace, name) {
      try {
        await call({ method: "DELETE", path: pathOf(kind, namespaceOr(namespace), name) });
      } catch (error) {
        if (!(error instanceof MeshError && error.code === "api.absent")) throw error;
      }
    },

    watch: <T extends ApiObject>(kind: string, signal: AbortSignal) =>
      watch<T>(options, pathOf(kind), signal),
  };
}

async function* watch<T extends ApiObject>(
  { transport, clock, random }: HttpObjectClientOptions,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<ObjectEvent<T>, void, undefined> {
  let version: string | undefined;
  let attempt = 0;
  while (!signal.aborted) {
    try {
      // The picture grows until its closing bookmark; undefined once it is complete.
      let picture: T[] | undefined = version === undefined ? [] : undefined;
      const query = new URLSearchParams({ watch: "true", allowWatchBookmarks: "true" });
      if (version !== undefined) query.set("resourceVersion", version);
      const request = { method: "GET", path: `${path}?${query}`, signal };
      const lines = transport.lines(request, silenceMs, (response) => {
        throw apiError(response);
      });
      for await (const line of lines) {
        const { type, object } = JSON.parse(line) as { type: string; object: T };
        if (type === "ERROR") throw statusError(object);
        attempt = 0;
        if (picture !== undefined) {
          if (type === "ADDED") picture.push(object);
          // A version of half a picture is none to resume from.
          if (type !== "BOOKMARK" || !closesPicture(object)) continue;
        }
        version = object.metadata.resourceVersion;
        if (picture !== undefined) {
          const objects = picture;
          picture = undefined;
          yield { type: "synced", objects };
        } else if (type !== "BOOKMARK") yield { type: eventTypes[type] ?? "modified", object };
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof MeshError)) throw error;
      if (error.code === "api.expired") version = undefined;
      else if (!error.retryable) throw error;
    }
    if (signal.aborted) return;
    await clock.sleep(backoffMs(attempt++, backoff, random), signal).catch(() => {});
  }
}

const eventTypes: Readonly<Record<string, "added" | "modified" | "deleted">> = {
  ADDED: "added",
  MODIFIED: "modified",
  DELETED: "deleted",
};

function closesPicture(object: unknown): boolean {
  const metadata = isRecord(object) ? object["metadata"] : undefined;
  const annotations = isRecord(metadata) ? metadata["annotations"] : undefined;
  return isRecord(annotations) && annotations["k8s.io/initial-events-end"] === "true";
}

/** Kinds without a namespace are addressed with the empty one. */
function namespaceOr(namespace: string | undefined): string | undefined {
  return namespace === "" ? undefined : namespace;
}
