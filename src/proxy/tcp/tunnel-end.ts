/**
 * What a tunnel joins: a connection (`Transport`), or a stream of HTTP/2 (`StreamEnd`). The members mean what they do
 * there.
 */

import type { Reader } from "../codec/transport.ts";

export interface TunnelEnd {
  reader: Reader;
  readonly isTls: boolean;
  /** It goes on while it is paused, record by record, with what it had read by then. */
  readonly readsByRecord: boolean;
  /** What is written is done with when the call returns. */
  readonly consumesAtOnce: boolean;
  /** The bytes that the reader is given are not overwritten by other reads. */
  readonly ownsBuffer: boolean;
  readonly queuedBytes: number;
  readonly isBackedUp: boolean;
  readInto(buffer: Buffer | undefined): void;
  pause(): void;
  resume(): void;
  writeOwned(bytes: Buffer, written: () => void): void;
  end(): void;
  close(): void;
  destroy(): void;
  reset(): void;
}
