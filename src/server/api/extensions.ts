/**
 * The paths that are Heddle's own. Here it is enforced that a node may send its report and nothing else, and that all
 * the rest is the administrator's (a browser's session is the administrator who only reads: server/authenticate.ts):
 *
 * - `POST /heddle/v1/node-tokens {"node"}`: a bootstrap document for an agent. The newest two tokens of a node work.
 * - `GET /heddle/v1/proxies`: who is connected over xDS, and what each has taken or refused.
 * - `GET /heddle/v1/converged?resourceVersion=N&timeoutMs=T`: answers when every connected agent and proxy has taken or
 *   refused a World of at least version N, or when the time is up; either way with who stands where.
 * - those of live traffic: observe/paths.ts.
 */

import type { EventStream } from "../observe/event-stream.ts";
import type { Observatory } from "../observe/observatory.ts";
import { observePaths, takeReport } from "../observe/paths.ts";
import type { ServerWorld } from "../world.ts";
import type { XdsServer } from "../xds-server.ts";
import { badRequest, readBody, recordBody } from "./body.ts";
import { forbidden } from "./caller.ts";
import type { ExtensionRequest, Extensions } from "./handler.ts";
import type { NodeTokens } from "./node-tokens.ts";
import type { Answer } from "./write.ts";

export interface ExtensionOptions {
  readonly tokens: NodeTokens;
  readonly world: ServerWorld;
  readonly rootPem: string;
  /** Where agents reach the server. Both throw `server.starting` until it listens. */
  readonly addresses: () => { readonly api: string; readonly xds: string };
  readonly xds: () => XdsServer;
  readonly observatory: Observatory;
  readonly eventStream: EventStream;
}

/** What an agent needs to find the server, trust it and be trusted. A file with it is as secret as its token. */
export interface Bootstrap {
  readonly node: string;
  readonly api: string;
  readonly xds: string;
  readonly token: string;
  readonly roots: string;
}

/** Whether a change is in force everywhere, and who stands in the way. */
export interface Converged {
  readonly resourceVersion: string;
  /** True when everybody connected has answered; some may have refused. */
  readonly converged: boolean;
  /** Ids of those that have not answered yet. */
  readonly waiting: readonly string[];
  readonly rejected: readonly {
    readonly id: string;
    readonly version: number;
    readonly error: string;
  }[];
}

const maxWaitMs = 50_000; // clients give up on an answer after 60 s

export function extensions(options: ExtensionOptions): Extensions {
  return (request) => {
    const { method, pathname } = request;
    if (!pathname.startsWith("/heddle/v1/")) return undefined;
    const { caller } = request;
    if (caller.kind === "node") {
      if (`${method} ${pathname}` === "POST /heddle/v1/report") {
        return takeReport(options.observatory, caller.node, request.request);
      }
      throw forbidden(caller, `use ${pathname}`);
    }
    if (caller.kind === "viewer" && method !== "GET")
      throw forbidden(caller, `${method} ${pathname}`);
    switch (`${method} ${pathname}`) {
      case "POST /heddle/v1/node-tokens":
        return nodeToken(options, request);
      case "GET /heddle/v1/proxies":
        return Promise.resolve({ code: 200, body: { clients: options.xds().status() } });
      case "GET /heddle/v1/converged":
        return converged(options, request);
      default:
        return observePaths(options.observatory, options.eventStream, request);
    }
  };
}

async function nodeToken(
  options: ExtensionOptions,
  { request }: ExtensionRequest,
): Promise<Answer> {
  const { node } = recordBody(await readBody(request)) as { readonly node?: unknown };
  if (typeof node !== "string") throw badRequest(`node must be a string, got ${typeof node}`);
  const token = await options.tokens.issue(node);
  const body: Bootstrap = {
    node,
    ...options.addresses(),
    token: token.reveal(),
    roots: options.rootPem,
  };
  return { code: 201, body };
}

async function converged(options: ExtensionOptions, request: ExtensionRequest): Promise<Answer> {
  const version = Number(request.query.get("resourceVersion") ?? options.world.current().version);
  const timeoutMs = Number(request.query.get("timeoutMs") ?? 10_000);
  if (!Number.isSafeInteger(version) || !Number.isFinite(timeoutMs)) {
    throw badRequest("converged: resourceVersion and timeoutMs must be numbers");
  }
  const signal = AbortSignal.any([
    request.signal,
    AbortSignal.timeout(Math.min(maxWaitMs, Math.max(0, timeoutMs))),
  ]);
  let reached = true;
  try {
    await options.world.reached(version, signal);
    await options.xds().waitForVersion(version, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    reached = false;
  }
  const clients = options.xds().status();
  const body: Converged = {
    resourceVersion: String(version),
    converged: reached,
    waiting: clients.filter(({ settled = 0 }) => settled < version).map(({ id }) => id),
    rejected: clients.flatMap(({ id, rejected }) => (rejected ? [{ id, ...rejected }] : [])),
  };
  return { code: 200, body };
}
