/**
 * Frames about the connection and its streams that carry no message: resets, settings, windows, GOAWAY, pings.
 *
 * All of them cost their sender nothing, so each is paid for from the peer's allowance (calm.ts).
 */

import { costOfFrame, costOfReset } from "./calm.ts";
import type { ConnectionCore } from "./connection-core.ts";
import { read32 } from "./frame-reader.ts";
import { putPing, putSettingsAck } from "./frame-writer.ts";
import {
  FLAG_ACK,
  FLOW_CONTROL_ERROR,
  FRAME_GOAWAY,
  FRAME_PING,
  FRAME_PRIORITY,
  FRAME_PUSH_PROMISE,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  FRAME_WINDOW_UPDATE,
  NO_ERROR,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
} from "./protocol.ts";

export class ControlFrames<T> {
  readonly #core: ConnectionCore<T>;
  /** The peer's SETTINGS have come. */
  hasSettings = false;
  /** The peer has said that it takes no more streams. */
  isGoingAway = false;

  constructor(core: ConnectionCore<T>) {
    this.#core = core;
  }

  take(
    type: number,
    flags: number,
    streamId: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const core = this.#core;
    switch (type) {
      case FRAME_RST_STREAM:
        this.#onRst(streamId, read32(bytes, start));
        break;
      case FRAME_SETTINGS:
        this.#onSettings(flags, bytes, start, end);
        break;
      case FRAME_PUSH_PROMISE:
        core.fatal(PROTOCOL_ERROR, "push, which was never allowed");
        break;
      case FRAME_PING:
        if (!core.spend(costOfFrame, "pings")) break;
        if ((flags & FLAG_ACK) !== 0) core.events.onPong();
        else putPing(core.sender.out, true, bytes, start);
        break;
      case FRAME_GOAWAY:
        this.#onGoaway(read32(bytes, start) % 2 ** 31, read32(bytes, start + 4));
        break;
      case FRAME_WINDOW_UPDATE:
        this.#onWindowUpdate(streamId, read32(bytes, start) % 2 ** 31);
        break;
      case FRAME_PRIORITY:
        if (read32(bytes, start) % 2 ** 31 === streamId) {
          core.fatal(PROTOCOL_ERROR, `stream ${streamId} depends on itself`);
        } else core.spend(costOfFrame, "priorities");
        break;
      default:
        core.spend(costOfFrame, "unknown frames"); // RFC 9113 §5.5: ignored
    }
  }

  #onRst(streamId: number, code: number): void {
    const core = this.#core;
    const stream = core.streams.get(streamId);
    if (stream === undefined) {
      if (core.streams.isIdle(streamId))
        core.fatal(PROTOCOL_ERROR, `RST_STREAM on idle ${streamId}`);
      else core.spend(costOfFrame, "resets");
      return;
    }
    core.close(stream);
    core.events.onReset(stream, code);
    if (core.role === "server" && !stream.hasSentHead) {
      core.spend(costOfReset(core.now - stream.startedAt), "streams reset before their answer");
    }
  }

  #onSettings(flags: number, bytes: Uint8Array, start: number, end: number): void {
    const core = this.#core;
    if (!core.spend(costOfFrame, "settings") || (flags & FLAG_ACK) !== 0) return;
    this.hasSettings = true;
    const { settings } = core.sender;
    const windowBefore = settings.initialWindowBytes;
    const code = settings.apply(bytes, start, end, core.role === "client");
    if (code !== NO_ERROR) core.fatal(code, "SETTINGS with a value that cannot be");
    else {
      putSettingsAck(core.sender.out);
      if (!core.sender.settingsChanged(windowBefore, [...core.streams.all])) {
        core.fatal(FLOW_CONTROL_ERROR, "a window grows too large");
      }
    }
  }

  #onGoaway(lastStreamId: number, code: number): void {
    const core = this.#core;
    if (!core.spend(costOfFrame, "announcements of an end")) return;
    this.isGoingAway = true;
    if (core.role === "client") {
      for (const stream of [...core.streams.all]) {
        if (stream.id <= lastStreamId) continue;
        core.close(stream);
        core.events.onReset(stream, REFUSED_STREAM);
      }
    }
    core.events.onGoaway(code);
  }

  #onWindowUpdate(streamId: number, increment: number): void {
    const core = this.#core;
    if (!core.spend(costOfFrame, "window updates")) return;
    if (streamId === 0) {
      if (increment === 0) core.fatal(PROTOCOL_ERROR, "window update of nothing");
      else if (!core.sender.growWindow(increment)) {
        core.fatal(FLOW_CONTROL_ERROR, "the connection's window grows too large");
      }
      return;
    }
    const stream = core.streams.get(streamId);
    if (stream === undefined) {
      if (core.streams.isIdle(streamId))
        core.fatal(PROTOCOL_ERROR, `WINDOW_UPDATE on idle ${streamId}`);
    } else if (increment === 0) core.streamError(stream, PROTOCOL_ERROR);
    else if (!core.sender.growStreamWindow(stream, increment)) {
      core.streamError(stream, FLOW_CONTROL_ERROR);
    }
  }
}
