/** Answers from the configuration itself. */

import type { RouteAction } from "../../model/proxy-config.ts";
import { type CompiledEdit, linesFor } from "../config/header-edits.ts";
import type { Handler } from "../stack/handler.ts";

type Respond = Extract<RouteAction, { kind: "respond" }>;

export function respond(action: Respond, edit: CompiledEdit | undefined): Handler {
  return (exchange) => {
    exchange.status = action.status; // for fields that say it
    exchange.respond(
      action.status,
      "-",
      action.body,
      "direct_response",
      edit && linesFor(edit, exchange),
    );
  };
}
