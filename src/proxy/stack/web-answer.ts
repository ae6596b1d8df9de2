/**
 * The answer to a call of gRPC on its way to being one of gRPC-Web: to the call this is its client, and it answers the
 * client's exchange (`asked`).
 *
 * Messages go on as they come, and in base64 each piece is padded, so that a client can read what has arrived; trailers
 * become the last frame. What the sidecar answers itself is said in the head alone, as in gRPC. Why an answer breaks off is
 * said in such a frame where no message is cut; clients that see a broken connection tell nothing from anything, and Envoy
 * leaves it at that. An answer that is none of gRPC's keeps its status, and becomes a head that says what gRPC makes of it,
 * with its body's beginning as the message: Envoy does so.
 *
 *   buffer                        limit     who pauses   who resumes
 *   body of what is no call's     4 KiB     nobody: what is beyond is not kept
 */

import { encodeTrailers, parseWebType, type WebForm, webTypeOf } from "../../wire/grpc/web.ts";
import { canonicalLines } from "../../wire/http2/lines.ts";
import { bodilessResponseDrops, findField, keptFields, responseParser } from "../codec/heads.ts";
import { Dechunker } from "../codec/http2/dechunker.ts";
import { grpcReply, isGrpcType } from "../codec/http2/grpc.ts";
import { asBuffer } from "../codec/http2/vocabulary.ts";
import { withoutType } from "../codec/own-lines.ts";
import type { Environment } from "../environment.ts";
import type { Peer } from "../peer.ts";
import type { Exchange } from "./exchange.ts";
import { grpcStatusOf } from "./grpc-status.ts";
import type { Head } from "./head.ts";
import type { DownstreamLeg } from "./legs.ts";
import { MessageBounds } from "./message-bounds.ts";

/** Escaped it is three times as long at most, and still a field that clients take: Node's take heads of 16 KiB. */
const maxMessageBytes = 4 * 1024;

const nothing = Buffer.alloc(0);
const cancelled = "1"; // in gRPC's words
const aboutBody = ["content-type", "content-length"];

export class WebAnswer implements DownstreamLeg {
  /** The form that calls come in; their clients may speak another. */
  readonly protocol = "HTTP/2";
  readonly joinsBodies = false;
  readonly peer: Peer;
  readonly environment: Environment;
  /** Its body is framed by whoever sends it; false: it has none. */
  isOpenEnded = false;
  readonly #asked: Exchange;
  readonly #form: WebForm;
  #dechunker: Dechunker | undefined;
  /** The call, once its answer has begun, and where in that one is. */
  #begun: { readonly call: Exchange; readonly bounds: MessageBounds } | undefined;
  /** What the endpoint said instead of answering the call. */
  #other: OtherAnswer | undefined;

  constructor(asked: Exchange, form: WebForm) {
    this.#asked = asked;
    this.#form = form;
    this.peer = asked.peer;
    this.environment = asked.downstream.environment;
  }

  get heldBytes(): number {
    return this.#other?.body.length ?? 0;
  }

  // ---- the request's body ----------------------------------------------------------------------

  pause(): void {
    this.#asked.downstream.pause();
  }

  resume(): void {
    this.#asked.downstream.resume();
  }

  holdOff(ms: number): void {
    this.#asked.downstream.holdOff(ms);
  }

  // ---- answers ---------------------------------------------------------------------------------

  writeInterim(head: Head, text: string): void {
    this.#asked.onInterim(head, text);
  }

  writeResponse(
    call: Exchange,
    head: Head,
    text: string,
    bytes: Buffer,
    start: number,
    end: number,
    isDone: boolean,
  ): void {
    const isBare = isDone && start === end;
    if (head.isChunked) this.#dechunker = new Dechunker();
    if (!isCalls(head, text, isBare)) {
      this.#other = { call, head: otherHead(call, head, text), body: nothing };
    } else {
      this.isOpenEnded = !isBare;
      this.#begun = { call, bounds: new MessageBounds() };
      const edit = call.responseEdit;
      const dropped = edit === undefined ? aboutBody : [...edit.dropped, ...aboutBody];
      const lines = withoutType(edit?.lines ?? "");
      const type = `content-type: ${webTypeOf(this.#form)}\r\n`;
      this.#asked.addResponseLines(`${lines}${type}`, dropped);
      this.#asked.onResponse(head, text, nothing, 0, 0, isBare);
      this.#count(call);
    }
    if (start < end) this.writeResponseBody(call, bytes, start, end);
  }

  writeResponseBody(call: Exchange, bytes: Buffer, start: number, end: number): void {
    const take = (run: Buffer, from: number, to: number) => this.#pass(run, from, to);
    if (this.#dechunker === undefined) take(bytes, start, end);
    else this.#dechunker.read(bytes, start, end, take);
    this.#count(call);
  }

  writeResponseEnd(call: Exchange, trailers: string): void {
    if (this.#other !== undefined) {
      this.#conclude(this.#other);
      return;
    }
    if (this.isOpenEnded) {
      const lines = trailers === "" ? (this.#dechunker?.trailers ?? "") : trailers;
      if (lines !== "") this.#passTrailers(lines);
    }
    this.#asked.onResponseDone("", call.endedAt);
    this.#count(call);
  }

  /** An answer from here, in the head alone. `status`: HTTP's, which says what it is in gRPC. */
  writeLocal(call: Exchange, status: number, body: string, fields: string): void {
    const reply = grpcReply(status, body, call.localGrpcStatus, webTypeOf(this.#form));
    call.status = 200;
    call.grpcStatus = reply.status;
    this.#asked.upstream = undefined; // the call ends by itself
    this.#asked.respond(200, call.flag, "", call.details, reply.lines + withoutType(fields));
    this.#count(call);
  }

  /** What has begun is broken off; of an answer that is none of gRPC's nothing has been said yet. */
  breakOff(isCancelled: boolean): void {
    if (this.#other === undefined) {
      this.#asked.upstream = undefined; // the call ends by itself
      if (this.#begun?.bounds.isBetween === true) this.#sayWhy(this.#begun.call, isCancelled);
      else this.#asked.onFailure(isCancelled ? "cancelled" : "stream-reset");
      return;
    }
    const { call } = this.#other;
    const isLate = isCancelled || call.flag === "UT";
    this.writeLocal(call, isLate ? 504 : 502, "", call.localFields);
  }

  #sayWhy(call: Exchange, isCancelled: boolean): void {
    const isLate = call.flag === "UT";
    call.grpcStatus = isLate ? grpcStatusOf(504) : isCancelled ? cancelled : grpcStatusOf(503);
    const why = isLate ? "upstream request timeout" : "upstream reset after its answer began";
    this.#passTrailers(`grpc-status: ${call.grpcStatus}\r\ngrpc-message: ${why}\r\n`);
    this.#asked.onResponseDone("", this.environment.now());
    this.#count(call);
  }

  /** Whatever ended it has been told. */
  onExchangeOver(): void {}

  /** No call asks for it. */
  switchProtocols(): undefined {
    return undefined;
  }

  // ----------------------------------------------------------------------------------------------

  #passTrailers(lines: string): void {
    const frame = asBuffer(encodeTrailers(lines));
    this.#pass(frame, 0, frame.length);
  }

  #pass(bytes: Buffer, start: number, end: number): void {
    this.#begun?.bounds.read(bytes, start, end);
    const other = this.#other;
    if (other !== undefined) {
      const left = Math.max(0, maxMessageBytes - other.body.length);
      const kept = bytes.subarray(start, Math.min(end, start + left));
      other.body = Buffer.concat([other.body, kept]);
    } else if (this.#form.isText) {
      const text = Buffer.from(bytes.toString("base64", start, end), "latin1");
      this.#asked.onResponseBody(text, 0, text.length);
    } else this.#asked.onResponseBody(bytes, start, end);
  }

  /** The endpoint's answer was none of gRPC's, and is complete. */
  #conclude({ call, head, body }: OtherAnswer): void {
    const reply = grpcReply(call.status, body.toString(), undefined, webTypeOf(this.#form));
    const lines = call.status === 204 ? reply.lines : `${reply.lines}content-length: 0\r\n`;
    const text = `${head}${lines}\r\n`;
    const parser = responseParser();
    const bytes = Buffer.from(text, "latin1");
    if (!parser.execute(bytes, 0, bytes.length)) {
      // Its own fields leave no place for the call's.
      call.flag = "UPE";
      call.details = "grpc_web_head";
      this.writeLocal(call, 502, "", call.localFields);
      return;
    }
    call.grpcStatus = reply.status;
    this.#asked.onResponse(parser, text, nothing, 0, 0, true);
    this.#asked.onResponseDone("", call.endedAt);
    this.#count(call);
  }

  /** What the client got is what the call is counted with. */
  #count(call: Exchange): void {
    call.responseBytes = this.#asked.responseBytes;
    call.responseHeadBytes = this.#asked.responseHeadBytes;
  }
}

interface OtherAnswer {
  readonly call: Exchange;
  /** Its lines, as far as they stand, with the start line. */
  readonly head: string;
  /** The beginning of its body. */
  body: Buffer;
}

/** As Envoy tells them; an endpoint may also speak gRPC-Web itself. */
function isCalls(head: Head, text: string, isBare: boolean): boolean {
  if (isBare && findField(head, text, "grpc-status") !== undefined) return true;
  const type = findField(head, text, "content-type") ?? "";
  return head.status === 200 && (isGrpcType(type) || parseWebType(type)?.isText === false);
}

const notTaken = new Set([...aboutBody, "grpc-status", "grpc-message"]);

function otherHead({ responseEdit: edit }: Exchange, head: Head, text: string): string {
  const dropped = edit === undefined ? notTaken : new Set([...edit.dropped, ...notTaken]);
  const lines = canonicalLines(keptFields(head, text, bodilessResponseDrops, dropped));
  const startLine = text.slice(head.lineStart, head.startLineEnd + 2);
  return `${startLine}${lines}${withoutType(edit?.lines ?? "")}`;
}
