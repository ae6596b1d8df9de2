/**
 * Data on its way in: counted against the windows and the length that the head named, and handed on as it comes.
 *
 * A frame arrives in pieces. Data of streams that are gone, or that broke a rule, still counts for the connection's
 * window, or that would shrink with each of them.
 */

import { costOfFrame, costOfStream, gainOfDataReceived } from "./calm.ts";
import type { ConnectionCore } from "./connection-core.ts";
import { FLAG_END_STREAM, FLOW_CONTROL_ERROR, PROTOCOL_ERROR, STREAM_CLOSED } from "./protocol.ts";
import type { Http2Stream } from "./stream.ts";

export class IncomingData<T> {
  readonly #core: ConnectionCore<T>;
  /** Whose the present frame is; undefined: nobody's. */
  #stream: Http2Stream<T> | undefined;
  /** Bytes of the present frame that have not been accounted for. */
  #left = 0;

  constructor(core: ConnectionCore<T>) {
    this.#core = core;
  }

  /** A frame begins: `length` is what flow control counts, padding included. */
  begin(streamId: number, length: number): boolean {
    const core = this.#core;
    if (!core.windows.take(length)) {
      core.fatal(FLOW_CONTROL_ERROR, "data beyond the connection's window");
      return false;
    }
    this.#left = length;
    this.#stream = undefined;
    const stream = core.streams.get(streamId);
    if (stream === undefined) this.#onStray(streamId);
    else if (stream.isRemoteDone) core.streamError(stream, STREAM_CLOSED);
    else if (!stream.hasHead) core.streamError(stream, PROTOCOL_ERROR);
    else if (core.windows.takeFor(stream, length)) this.#stream = stream;
    else core.streamError(stream, FLOW_CONTROL_ERROR);
    return !core.isLost;
  }

  /** A piece of it, without padding. */
  take(flags: number, bytes: Uint8Array, start: number, end: number, isLast: boolean): boolean {
    const core = this.#core;
    const stream = this.#stream;
    const length = end - start;
    if (stream === undefined || stream.isClosed) {
      // Nobody's: only the connection's window must not shrink for it. Paid for as it begins, and full frames give it
      // back.
      core.calm.gain(gainOfDataReceived(length));
      if (isLast) core.windows.credit(this.#left);
      else core.windows.credit(length);
      this.#left = isLast ? 0 : this.#left - length;
      return !core.isLost;
    }
    this.#left -= length;
    const isEnd = isLast && (flags & FLAG_END_STREAM) !== 0;
    if (isLast && this.#left > 0) {
      core.windows.skip(stream, this.#left); // the padding
      this.#left = 0;
    }
    stream.receivedBytes += length;
    if (isEnd) stream.isRemoteDone = true;
    const isTooMuch = stream.expectedBytes >= 0 && stream.receivedBytes > stream.expectedBytes;
    if (isTooMuch || (isEnd && !stream.isComplete)) {
      core.windows.credit(length);
      core.malformed(stream);
      return !core.isLost;
    }
    if (length > 0) core.calm.gain(gainOfDataReceived(length));
    else if (!isEnd) return core.spend(costOfFrame, "empty frames");
    core.windows.hold(stream, length);
    core.events.onData(stream, bytes, start, end, isEnd);
    if (!stream.isHeld) core.windows.consumeHeld(stream);
    if (isEnd) core.closeIfDone(stream);
    return !core.isLost;
  }

  #onStray(streamId: number): void {
    const core = this.#core;
    if (core.streams.isIdle(streamId)) {
      core.fatal(PROTOCOL_ERROR, `DATA on idle stream ${streamId}`);
    } else if (!core.spend(costOfFrame, "data on streams that were reset")) {
      return;
    } else if (streamId <= core.streams.lastTakenId && !core.streams.wasReset(streamId)) {
      if (core.spend(costOfStream, "data on closed streams")) {
        core.writeReset(streamId, STREAM_CLOSED);
      }
    }
  }
}
