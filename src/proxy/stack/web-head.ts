/** The head of a call of gRPC, made from that of a call of gRPC-Web as HTTP/2 would have brought it. */

import { grpcTypeOf, type WebForm } from "../../wire/grpc/web.ts";
import { Field } from "../../wire/hpack/static-table.ts";
import { defaultLimits, type HeadLimits } from "../../wire/http1/head.ts";
import { canonicalLines } from "../../wire/http2/lines.ts";
import { TranslatedHead } from "../../wire/http2/translated-head.ts";
import { keptFields, nominatedOnly } from "../codec/heads.ts";
import { vocabulary } from "../codec/http2/vocabulary.ts";
import type { Exchange } from "./exchange.ts";

/**
 * What is said of the body's bytes and of how they come. And what compression of whole answers the client takes: a call
 * has its own for messages, and an answer that is no call's becomes text in a field (web-answer.ts).
 */
const replaced = new Set(["content-type", "content-length", "accept-encoding"]);

/** The answers that a browser is known to read; where the client says nothing itself, Envoy says that. */
const identity = new Field("grpc-accept-encoding", "identity");

/** Whatever a client may say fits in, with what is put in here and what HTTP/2 counts for each field. */
const room: HeadLimits = {
  maxHeadBytes: defaultLimits.maxHeadBytes * 2,
  maxFields: defaultLimits.maxFields + 8,
};

/** Undefined: in HTTP/2 there is no such request. */
export function callHead(asked: Exchange, form: WebForm): TranslatedHead | undefined {
  const { method, scheme, authority, path, query } = asked;
  const head = new TranslatedHead(vocabulary, room);
  head.begin("request");
  head.take(new Field(":method", method));
  head.take(new Field(":scheme", scheme));
  head.take(new Field(":authority", authority));
  head.take(new Field(":path", path + query));
  const kept = canonicalLines(keptFields(asked.head, asked.text, nominatedOnly, replaced));
  let hasEncodings = false;
  for (let at = 0; at < kept.length; ) {
    const end = kept.indexOf("\r\n", at);
    const colon = kept.indexOf(":", at);
    const name = kept.slice(at, colon);
    hasEncodings ||= name === identity.name;
    head.take(new Field(name, kept.slice(colon + 2, end)));
    at = end + 2;
  }
  head.take(new Field("content-type", grpcTypeOf(form)));
  head.take(new Field("te", "trailers"));
  if (!hasEncodings) head.take(identity);
  return head.finish() ? head : undefined;
}
