/**
 * Makes calls of gRPC out of calls of gRPC-Web, outermost: whatever stands below sees a call of gRPC, and what it answers
 * becomes gRPC-Web again, a refusal too.
 *
 * A call is what is posted with a content type of gRPC-Web and can be asked in HTTP/2; everything else passes as it is.
 * Envoy takes four types, and answers in base64 to whom accepts one of two; here any codec may be named, parameters may
 * stand behind it, and who sends base64 and accepts nothing by name gets base64.
 *
 * Not here: how it is done (stack/web-request.ts, web-answer.ts).
 */

import { parseWebType, type WebForm } from "../../wire/grpc/web.ts";
import { fieldValue, ownMark } from "../codec/heads.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Handler } from "../stack/handler.ts";
import { callHead } from "../stack/web-head.ts";
import { WebRequest } from "../stack/web-request.ts";

export function grpcWeb(next: Handler): Handler {
  return (exchange) => {
    const form = webForm(exchange);
    const head = form && callHead(exchange, form);
    if (form === undefined || head === undefined) next(exchange);
    else exchange.onConnection(new WebRequest(form, head, next));
  };
}

function webForm({ method, head, text }: Exchange): WebForm | undefined {
  if (method !== "POST") return undefined;
  const type = head.fieldAt(ownMark.contentType);
  return type < 0 ? undefined : parseWebType(fieldValue(head, text, type));
}
