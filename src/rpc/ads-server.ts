/**
 * Serves delta xDS: one session for each stream, opened when its first request says who it is.
 *
 * Not here: what a client may have and what is offered to it; that is the caller's, who gets the session.
 */

import { renderError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { DeltaRequest, DeltaResponse } from "../wire/xds/discovery.ts";
import { decodeRequest, encodeResponse } from "../wire/xds/discovery.ts";
import { DeltaSession, type SessionOptions } from "./delta-session.ts";
import { type CallMetadata, failStream, readerOf, type ServedStream } from "./grpc-server.ts";

export interface Accepted {
  readonly types: readonly string[];
  /** The session is there: offers may be made. Returns what to do when the stream ends. */
  readonly opened: (session: DeltaSession, end: (error: unknown) => void) => () => void;
  readonly changed?: SessionOptions["changed"];
  /** A response has been written, of so many bytes. */
  readonly sent?: (response: DeltaResponse, bytes: number) => void;
  readonly refused?: SessionOptions["refused"];
}

/** Throws MeshError `….unauthenticated` or `….forbidden` for clients that may not have what they ask for. */
export type Accept = (first: DeltaRequest, metadata: CallMetadata) => Accepted;

export function serveDelta(accept: Accept, log: Log): (stream: ServedStream) => void {
  return (stream) => {
    const metadata = readerOf(stream.metadata);
    let session: DeltaSession | undefined;
    let closed: (() => void) | undefined;
    const close = (): void => {
      closed?.();
      closed = undefined;
    };
    const fail = (error: unknown): void => {
      close();
      failStream(stream, error);
    };
    stream.on("data", (bytes: Uint8Array) => {
      try {
        const request = decodeRequest(bytes);
        if (session === undefined) {
          const accepted = accept(request, metadata);
          session = new DeltaSession({
            types: accepted.types,
            send: (response) => {
              const bytes = encodeResponse(response);
              stream.write(bytes);
              accepted.sent?.(response, bytes.length);
            },
            ...(accepted.changed === undefined ? {} : { changed: accepted.changed }),
            ...(accepted.refused === undefined ? {} : { refused: accepted.refused }),
          });
          closed = accepted.opened(session, fail);
        }
        session.request(request);
      } catch (error) {
        log.warn("client refused", { peer: stream.getPeer(), error: renderError(error) });
        fail(error);
      }
    });
    stream.on("cancelled", close);
    stream.on("error", close);
    stream.on("end", () => {
      close();
      stream.end();
    });
  };
}
