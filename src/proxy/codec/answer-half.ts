/**
 * The half of a client's connection that answers, in HTTP/1.1: heads edited, bodies framed, and whether there may be another
 * answer after.
 *
 * A small answer leaves as one string in one write; one that nothing is changed about leaves as it came. A body that
 * came without a length goes on in chunks of our making, one that came in chunks in those.
 *
 * It is the connection itself and no part of one: an exchange's answer goes through no other object.
 *
 * Not here: requests, and when the connection ends (downstream.ts).
 */

import type { Environment } from "../environment.ts";
import { STATUS_CODES } from "../node-http.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Head } from "../stack/head.ts";
import { isBodyless } from "../stack/outcome.ts";
import {
  bodilessResponseDrops,
  chunkedLine,
  interimFields,
  keptFields,
  responseDrops,
} from "./heads.ts";
import { missingDate, ownLines, typeLine } from "./own-lines.ts";
import type { Transport } from "./transport.ts";
import { switchingHead } from "./websocket-handshake.ts";

export abstract class AnswerHalf {
  readonly protocol = "HTTP/1.1";
  readonly joinsBodies = true;
  abstract readonly transport: Transport;
  abstract readonly environment: Environment;
  /** Whose answer it is. */
  protected abstract exchange: Exchange | undefined;
  /** The answer under way is the last on this connection. */
  protected isLastAnswer = false;
  /** The answer's body came without a length. */
  #chunks = false;

  /** A request has come whose answer will be next. */
  protected beginAnswer(isLast: boolean): void {
    this.isLastAnswer = isLast;
    this.#chunks = false;
  }

  /** Answers what is not even a request; it is the last. */
  protected writeRefusal(status: number): void {
    this.isLastAnswer = true;
    const reason = STATUS_CODES[status] ?? "";
    this.transport.writeText(
      `HTTP/1.1 ${status} ${reason}\r\ncontent-length: ${reason.length}\r\ncontent-type: text/plain\r\n${ownLines(this.environment)}connection: close\r\n\r\n${reason}`,
    );
  }

  /** An interim answer (1xx but 101). An endless row of them must not pile up before a client that does not read. */
  writeInterim(head: Head, text: string): void {
    const status = text.slice(head.lineStart + "HTTP/1.1".length, head.startLineEnd + 2);
    this.transport.writeText(`HTTP/1.1${status}${interimFields(head, text)}\r\n`);
    if (this.transport.isBackedUp) this.exchange?.upstream?.pause();
  }

  /** An answer of our own. */
  writeLocal(exchange: Exchange, status: number, body: string, fields: string): void {
    if (!exchange.isRequestDone) this.isLastAnswer = true;
    const length = Buffer.byteLength(body);
    const framing = isBodyless(status) ? "" : `content-length: ${length}\r\n`;
    const type = typeLine(length, fields);
    const closing = this.isLastAnswer ? "connection: close\r\n" : "";
    const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Unknown"}\r\n${framing}${type}${fields}${ownLines(this.environment)}${closing}\r\n`;
    const sent = exchange.method === "HEAD" ? "" : Buffer.from(body).toString("latin1");
    exchange.responseHeadBytes += head.length;
    exchange.responseBytes += head.length + sent.length;
    this.transport.writeText(head + sent);
  }

  /** An answer's head, and what came of its body with it. */
  writeResponse(
    exchange: Exchange,
    head: Head,
    text: string,
    bytes: Buffer,
    start: number,
    end: number,
    isDone: boolean,
  ): void {
    const edit = exchange.responseEdit;
    const dropped = edit?.dropped;
    this.#chunks = exchange.upstream?.isOpenEnded === true;
    if (isDone && !exchange.isRequestDone) this.isLastAnswer = true;
    if (this.environment.isDraining) this.isLastAnswer = true;
    const drops = head.status === 204 ? bodilessResponseDrops : responseDrops;
    const isOurVersion = head.minor === 1 && text.charCodeAt(head.lineStart + 7) === 49;
    let added = edit?.lines ?? "";
    added += missingDate(head, this.environment);
    if (this.#chunks || (head.isChunked && head.status !== 204)) added += chunkedLine;
    else if (isDone && start === end && isUnframed(exchange, head)) added += emptyLine;
    if (this.isLastAnswer) added += "connection: close\r\n";
    let out = isOurVersion
      ? keptFields(head, text, drops, dropped, head.lineStart)
      : `HTTP/1.1 ${keptFields(head, text, drops, dropped, head.lineStart + 9)}`;
    const isJoined = text.length > head.headEnd && !this.#chunks;
    // Nothing went and nothing was put in: what follows the lines in `text` is what follows them here.
    const isWhole =
      added === "" &&
      isOurVersion &&
      !head.isLoose &&
      out.length === head.headEnd - 2 - head.lineStart;
    const headBytes = out.length + added.length + 2;
    exchange.responseHeadBytes += headBytes;
    exchange.responseBytes += headBytes + end - start;
    if (isJoined && isWhole) this.transport.writeText(text.slice(head.lineStart));
    else if (isJoined) this.transport.writeText(`${out}${added}${text.slice(head.headEnd - 2)}`);
    else {
      out += `${added}\r\n`;
      if (this.#chunks && end > start) {
        this.transport.writeText(out);
        this.transport.writeChunk(bytes, start, end);
      } else this.transport.writeMessage(out, bytes, start, end);
    }
    if (this.transport.isBackedUp && !isDone) exchange.upstream?.pause();
  }

  writeResponseBody(exchange: Exchange, bytes: Buffer, start: number, end: number): void {
    exchange.responseBytes += end - start;
    if (this.#chunks) this.transport.writeChunk(bytes, start, end);
    else this.transport.writeBytes(bytes, start, end);
    if (this.transport.isBackedUp) exchange.upstream?.pause();
  }

  writeResponseEnd(exchange: Exchange, trailers: string): void {
    if (this.#chunks) this.transport.writeText(`0\r\n${trailers}\r\n`);
    // Whoever got a final answer in the place of 100 need not send what it has announced: nobody knows what comes next.
    if (!exchange.isRequestDone && exchange.expectsContinue) this.isLastAnswer = true;
  }

  /** The 101; what follows is another protocol's. */
  protected writeSwitching(exchange: Exchange, head: Head, text: string): void {
    const out = switchingHead(exchange, head, text);
    exchange.responseHeadBytes += out.length;
    exchange.responseBytes += out.length;
    this.transport.writeText(out);
  }
}

const emptyLine = "content-length: 0\r\n";

/** Of an answer whose end came with its head, as in HTTP/2 it may: nothing in its lines would say so here. */
function isUnframed({ method, responseEdit }: Exchange, { status, contentLength }: Head): boolean {
  if (method === "HEAD" || isBodyless(status)) return false;
  return contentLength < 0 || responseEdit?.dropped.has("content-length") === true;
}
