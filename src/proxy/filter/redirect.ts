/** Sends the client elsewhere: the request's own URL with the parts replaced that the route names. */

import type { RouteAction, RouteMatch } from "../../model/proxy-config.ts";
import { type CompiledEdit, linesFor } from "../config/header-edits.ts";
import { compileRewrite } from "../config/path-rewrite.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Handler } from "../stack/handler.ts";

type Redirect = Extract<RouteAction, { kind: "redirect" }>;

export function redirect(
  action: Redirect,
  match: RouteMatch,
  edit: CompiledEdit | undefined,
): Handler {
  const rewrite = compileRewrite(match, action);
  return (exchange) => {
    exchange.status = action.status; // for fields that say it
    const path = action.path ?? rewrite?.(exchange.path) ?? exchange.path;
    const fields = `location: ${locationFor(action, path, exchange)}\r\n${edit === undefined ? "" : linesFor(edit, exchange)}`;
    exchange.respond(action.status, "-", "", "direct_response", fields);
  };
}

function locationFor(action: Redirect, path: string, exchange: Exchange): string {
  const scheme = action.scheme ?? exchange.scheme;
  const given = /^(.*?)(?::(\d+))?$/.exec(exchange.authority);
  const host = action.host ?? given?.[1] ?? exchange.authority;
  // A new scheme makes the old port meaningless; a new host too, unless it is named.
  const kept = action.scheme === undefined && action.host === undefined ? given?.[2] : undefined;
  const port = action.port === undefined ? kept : String(action.port);
  const isDefault = port === (scheme === "https" ? "443" : "80");
  const authority = port === undefined || isDefault ? host : `${host}:${port}`;
  const query = path.includes("?") ? "" : exchange.query;
  // Nothing of the request may end the line.
  return `${scheme}://${authority}${path}${query}`.replace(/[\r\n]/g, "");
}
