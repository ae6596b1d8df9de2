/** Puts the parts of the dashboard together: one token and one list of sessions for all listeners that serve it. */

import type { Clock } from "../../base/clock.ts";
import { type ApiOptions, apiHandler, type Handler } from "../api/handler.ts";
import type { NodeTokens } from "../api/node-tokens.ts";
import { callerOf } from "../authenticate.ts";
import type { DataFolder } from "../data-folder.ts";
import { keptAdminToken } from "./admin-token.ts";
import { loadBundle } from "./bundle.ts";
import { dashboardHandler } from "./handler.ts";
import { sessionCookie, sessionEndpoint } from "./session-endpoint.ts";
import { openSessions } from "./sessions.ts";

export interface Dashboard {
  /** Answers for the network: files, sign-in, and the API for who has a token or a session. */
  handler(api: Omit<ApiOptions, "authenticate">, isSecure: boolean): Handler;
}

export async function openDashboard(
  folder: DataFolder,
  bundleDir: string | undefined,
  nodes: NodeTokens,
  clock: Clock,
): Promise<Dashboard> {
  const admin = await keptAdminToken(folder.adminToken);
  const sessions = await openSessions(folder.sessions, () => clock.now());
  const bundle = bundleDir === undefined ? new Map() : await loadBundle(bundleDir);
  return {
    handler(api, isSecure) {
      const cookie = sessionCookie(admin, isSecure);
      const credentials = { nodes, admin, sessions, cookie };
      return dashboardHandler(
        bundle,
        sessionEndpoint(sessions, admin, cookie, clock),
        apiHandler({ ...api, authenticate: (request) => callerOf(request, credentials) }),
      );
    },
  };
}
