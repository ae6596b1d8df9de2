/**
 * Who a request over the network comes from: a node or the administrator by a bearer token, or a browser by its
 * session.
 *
 * A session is a viewer: it may read, and never write, because a browser sends its cookie whoever made it send the
 * request. For the same reason a request that a page of another origin caused is refused, ports of
 * the same host included, which `SameSite` does not tell apart.
 */

import type { IncomingMessage } from "node:http";
import { MeshError } from "../base/error.ts";
import type { Caller } from "./api/caller.ts";
import type { NodeTokens } from "./api/node-tokens.ts";
import type { AdminToken } from "./dashboard/admin-token.ts";
import type { SessionCookie } from "./dashboard/session-endpoint.ts";
import type { Sessions } from "./dashboard/sessions.ts";

export interface Credentials {
  readonly nodes: NodeTokens;
  readonly admin: AdminToken;
  readonly sessions: Sessions;
  readonly cookie: SessionCookie;
}

/** Throws `api.unauthorized`, and `api.forbidden` for what another origin's page made a browser ask. */
export function callerOf(request: IncomingMessage, credentials: Credentials): Caller {
  const { nodes, admin, sessions, cookie } = credentials;
  const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? "")?.[1];
  if (token !== undefined) {
    if (admin.equals(token)) return { kind: "admin" };
    const node = nodes.authenticate(token);
    if (node !== undefined) return { kind: "node", node };
    throw unauthorized("the token is unknown or was replaced");
  }
  const session = cookie.read(request);
  if (session === undefined) throw unauthorized("want a bearer token");
  if (!sessions.accepts(session)) throw unauthorized("the session has ended: sign in again");
  refuseCrossOrigin(request);
  return { kind: "viewer" };
}

/** Throws where the browser says that a page of another origin is behind the request. */
export function refuseCrossOrigin(request: IncomingMessage): void {
  const site = request.headers["sec-fetch-site"];
  if (site === undefined || site === "same-origin" || site === "none") return;
  throw new MeshError("api.forbidden", `a request from another origin (${site}) is not answered`, {
    fault: "user",
  });
}

function unauthorized(message: string): MeshError {
  return new MeshError("api.unauthorized", message, { fault: "user" });
}
