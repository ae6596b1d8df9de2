/**
 * The request of a call of gRPC-Web on its way to being one of gRPC: to the client's exchange (`asked`) this is the side
 * that it is sent to, and it makes an exchange of its own from it (`call`), which goes through the filters below.
 *
 * Bytes are passed on as they come, chunks of HTTP/1.1 and base64 taken off; of those no more than three characters are
 * kept. Whoever is to wait, the client or its endpoint, is told as if nobody stood between them.
 *
 * Not here: which requests (filter/grpc-web.ts), and the way back (web-answer.ts).
 */

import { answerForm, type WebForm } from "../../wire/grpc/web.ts";
import { Base64Reader } from "../../wire/grpc/web-text.ts";
import type { TranslatedHead } from "../../wire/http2/translated-head.ts";
import { Dechunker } from "../codec/http2/dechunker.ts";
import { readGrpc } from "../codec/http2/grpc.ts";
import { asBuffer } from "../codec/http2/vocabulary.ts";
import { Exchange } from "./exchange.ts";
import type { Handler } from "./handler.ts";
import type { UpstreamLeg } from "./legs.ts";
import { WebAnswer } from "./web-answer.ts";

const nothing = Buffer.alloc(0);

export class WebRequest implements UpstreamLeg {
  readonly isReused = false;
  readonly isBackedUp = false;
  readonly #form: WebForm;
  readonly #head: TranslatedHead;
  readonly #next: Handler;
  #asked: Exchange | undefined;
  #call: Exchange | undefined;
  #answer: WebAnswer | undefined;
  #dechunker: Dechunker | undefined;
  #text: Base64Reader | undefined;

  /** `head`: the call's, as `callHead` makes it of the client's. */
  constructor(form: WebForm, head: TranslatedHead, next: Handler) {
    this.#form = form;
    this.#head = head;
    this.#next = next;
  }

  // ---- the request -----------------------------------------------------------------------------

  sendRequest(
    asked: Exchange,
    body: Buffer | undefined,
    start: number,
    end: number,
    isDone: boolean,
  ): void {
    const head = this.#head;
    this.#asked = asked;
    if (asked.isChunked) this.#dechunker = new Dechunker();
    if (this.#form.isText) this.#text = new Base64Reader();
    const answer = new WebAnswer(asked, answerForm(this.#form, asked.field("accept")));
    const { path, query, authority, startedAt } = asked;
    const target = { path, query, authority: undefined };
    const call = new Exchange(answer, head, head.text, target, authority, startedAt);
    call.protocol = asked.protocol;
    call.sensitive = asked.sensitive;
    readGrpc(call);
    asked.grpcTimeoutMs = call.grpcTimeoutMs; // how an answer is broken off depends on it
    this.#call = call;
    this.#answer = answer;
    const plain = this.#plain(body ?? nothing, start, end, isDone);
    if (plain !== undefined) {
      call.requestTrailers = this.#trailers(asked.requestTrailers);
      call.offerFirst(plain, 0, plain.length, isDone);
    }
    this.#count(call);
    this.#next(call);
    call.settle();
    if (plain === undefined) this.#refuse(call);
  }

  sendBody(bytes: Buffer, start: number, end: number, isDone: boolean, trailers: string): void {
    const call = this.#call;
    if (call === undefined || call.isOver) return;
    const plain = this.#plain(bytes, start, end, isDone);
    if (plain === undefined) {
      this.#refuse(call);
      return;
    }
    call.requestTrailers = this.#trailers(trailers);
    call.onRequestBody(plain, 0, plain.length, isDone);
    this.#count(call);
  }

  /** The bytes as gRPC has them, in place as long as those given; undefined: they are not what they should be. */
  #plain(bytes: Buffer, start: number, end: number, isDone: boolean): Buffer | undefined {
    const bare = this.#bare(bytes, start, end);
    const text = this.#text;
    if (text === undefined) return bare;
    const plain = text.read(bare, 0, bare.length);
    if (plain === undefined || (isDone && !text.isWhole)) return undefined;
    return asBuffer(plain);
  }

  #bare(bytes: Buffer, start: number, end: number): Buffer {
    const whole = bytes.subarray(start, end);
    if (this.#dechunker === undefined) return whole;
    const runs: Buffer[] = [];
    this.#dechunker.read(whole, 0, whole.length, (run, from, to) => {
      runs.push(run.subarray(from, to));
    });
    const [only] = runs;
    return runs.length === 1 && only !== undefined ? only : Buffer.concat(runs);
  }

  /** What the client sent of its body is what the call is counted with. */
  #count(call: Exchange): void {
    const { requestBytes, headBytes } = this.#asked ?? call;
    call.requestBytes = call.headBytes + requestBytes - headBytes;
  }

  #trailers(lines: string): string {
    return lines === "" ? (this.#dechunker?.trailers ?? "") : lines;
  }

  #refuse(call: Exchange): void {
    call.respond(400, "DPE", "invalid base64 in the body", "grpc_base_64_decode_failed");
  }

  // ---- the answer ------------------------------------------------------------------------------

  get isOpenEnded(): boolean {
    return this.#answer?.isOpenEnded === true;
  }

  get isHttp2(): boolean {
    return this.#call?.upstream?.isHttp2 === true;
  }

  get queuedBytes(): number {
    return (this.#call?.heldBytes ?? 0) + (this.#answer?.heldBytes ?? 0);
  }

  pause(): void {
    this.#call?.upstream?.pause();
  }

  resume(): void {
    this.#call?.upstream?.resume();
  }

  abandon(): void {
    this.#call?.onDownstreamClosed();
  }
}
