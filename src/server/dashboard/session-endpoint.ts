/**
 * Signing in and out: `/heddle/v1/session`.
 *
 * - `POST {"token"}`: the administrator's token for a cookie that scripts cannot read and other sites cannot send.
 * - `GET`: 200 while the cookie holds, else 401.
 * - `DELETE`: ends the session.
 *
 * A wrong token is answered late, and only a few such answers wait at a time, so that guessing is slow however many
 * connections it has; the right token is never made to wait by somebody else's wrong ones.
 */

import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Clock } from "../../base/clock.ts";
import { MeshError } from "../../base/error.ts";
import { badRequest, mediaType, readBody, recordBody } from "../api/body.ts";
import type { Answer } from "../api/write.ts";
import type { AdminToken } from "./admin-token.ts";
import { type Sessions, sessionMs } from "./sessions.ts";

export const sessionPath = "/heddle/v1/session";

const refusalMs = 1_000;
const maxWaitingRefusals = 8;

export interface SessionCookie {
  /** The session that a request's cookie names. */
  read(request: IncomingMessage): string | undefined;
  /** Value of `set-cookie`; undefined takes the cookie away. */
  write(id: string | undefined): string;
}

export interface SessionEndpoint {
  answer(request: IncomingMessage): Promise<Answer & { readonly setCookie?: string }>;
}

/**
 * Cookies are shared by all ports of a host, so the name tells installations apart: two labs of one machine are signed
 * in to side by side.
 */
export function sessionCookie(token: AdminToken, isSecure: boolean): SessionCookie {
  const installation = createHash("sha256").update(token.reveal()).digest("hex").slice(0, 8);
  // RFC 6265bis §4.1.3.2: a browser takes `__Host-` only from the host itself, over TLS.
  const name = `${isSecure ? "__Host-" : ""}heddle-${installation}`;
  const attributes = `Path=/; HttpOnly; SameSite=Strict${isSecure ? "; Secure" : ""}`;
  return {
    read(request) {
      for (const pair of (request.headers.cookie ?? "").split(";")) {
        const [key, value] = pair.trim().split("=", 2);
        if (key === name) return value;
      }
      return undefined;
    },
    write: (id) =>
      `${name}=${id ?? ""}; Max-Age=${id === undefined ? 0 : sessionMs / 1000}; ${attributes}`,
  };
}

export function sessionEndpoint(
  sessions: Sessions,
  token: AdminToken,
  cookie: SessionCookie,
  clock: Clock,
): SessionEndpoint {
  let waiting = 0;

  async function refuse(): Promise<never> {
    if (waiting >= maxWaitingRefusals) {
      throw new MeshError("api.too-many-attempts", "sign in: too many wrong tokens at a time", {
        fault: "user",
        retryable: true,
      });
    }
    waiting++;
    try {
      await clock.sleep(refusalMs);
    } finally {
      waiting--;
    }
    throw new MeshError("api.unauthorized", "sign in: this is not the administrator's token", {
      fault: "user",
    });
  }

  async function begin(request: IncomingMessage) {
    // A form of another site cannot send this type without asking first.
    if (mediaType(request) !== "application/json") {
      throw badRequest(`sign in: content-type must be application/json`);
    }
    const { token: given } = recordBody(await readBody(request));
    if (typeof given !== "string") throw badRequest("sign in: token must be a string");
    if (!token.equals(given)) return refuse();
    const id = await sessions.begin();
    return { code: 201, body: { signedIn: true }, setCookie: cookie.write(id.reveal()) };
  }

  return {
    async answer(request) {
      const id = cookie.read(request);
      switch (request.method) {
        case "POST":
          return begin(request);
        case "GET":
          if (id !== undefined && sessions.accepts(id))
            return { code: 200, body: { signedIn: true } };
          throw new MeshError("api.unauthorized", "nobody is signed in", { fault: "user" });
        case "DELETE":
          if (id !== undefined) await sessions.end(id);
          return { code: 200, body: { signedIn: false }, setCookie: cookie.write(undefined) };
        default:
          throw new MeshError("api.method", `${sessionPath} takes GET, POST and DELETE`, {
            fault: "user",
          });
      }
    },
  };
}
