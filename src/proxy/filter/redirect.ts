/** Sends the client elsewhere: the request's own URL with the parts replaced that the route names. */

import type { RouteAction } from "../../model/proxy-config.ts";
import type { CompiledEdit } from "../config/header-edits.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Handler } from "../stack/handler.ts";

type Redirect = Extract<RouteAction, { kind: "redirect" }>;

export function redirect(action: Redirect, edit: CompiledEdit | undefined): Handler {
  return (exchange) => {
    const fields = `location: ${locationFor(action, exchange)}\r\n${edit?.lines ?? ""}`;
    exchange.respond(action.status, "-", "", "direct_response", fields);
  };
}

function locationFor(action: Redirect, exchange: Exchange): string {
  const scheme = action.scheme ?? "http";
  const given = /^(.*?)(?::(\d+))?$/.exec(exchange.authority);
  const host = action.host ?? given?.[1] ?? exchange.authority;
  // A new scheme makes the old port meaningless; a new host too, unless it is named.
  const kept = action.scheme === undefined && action.host === undefined ? given?.[2] : undefined;
  const port = action.port === undefined ? kept : String(action.port);
  const isDefault = port === (scheme === "https" ? "443" : "80");
  const authority = port === undefined || isDefault ? host : `${host}:${port}`;
  const path = action.path ?? exchange.path;
  const query = path.includes("?") ? "" : exchange.query;
  // Nothing of the request may end the line.
  return `${scheme}://${authority}${path}${query}`.replace(/[\r\n]/g, "");
}
