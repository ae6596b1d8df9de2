/** What a peer may tell us about itself in SETTINGS (RFC 9113 §6.5.2), checked. */

import { read32 } from "./frame-reader.ts";
import {
  defaultFrameBytes,
  defaultWindowBytes,
  FLOW_CONTROL_ERROR,
  maxWindowBytes,
  NO_ERROR,
  PROTOCOL_ERROR,
  SETTINGS_ENABLE_CONNECT_PROTOCOL,
  SETTINGS_ENABLE_PUSH,
  SETTINGS_HEADER_TABLE_SIZE,
  SETTINGS_INITIAL_WINDOW_SIZE,
  SETTINGS_MAX_CONCURRENT_STREAMS,
  SETTINGS_MAX_FRAME_SIZE,
} from "./protocol.ts";

export class PeerSettings {
  headerTableBytes = 4096;
  /** The smallest that it was on the way there, within the last frame: the peer's decoder has let go of all beyond. */
  leastTableBytes = 4096;
  maxConcurrentStreams: number = Number.POSITIVE_INFINITY;
  initialWindowBytes: number = defaultWindowBytes;
  maxFrameBytes: number = defaultFrameBytes;
  /** It takes requests for other protocols than HTTP (RFC 8441); a server's word. */
  takesExtendedConnect = false;

  /** Takes a SETTINGS payload in; answers an error code where a value cannot be. */
  apply(bytes: Uint8Array, start: number, end: number, isFromServer: boolean): number {
    this.leastTableBytes = this.headerTableBytes;
    for (let at = start; at < end; at += 6) {
      const name = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
      const value = read32(bytes, at + 2);
      switch (name) {
        case SETTINGS_HEADER_TABLE_SIZE:
          this.headerTableBytes = value;
          this.leastTableBytes = Math.min(this.leastTableBytes, value);
          break;
        case SETTINGS_ENABLE_PUSH:
          // RFC 9113 §6.5.2: a server has nobody to let push.
          if (value > 1 || (isFromServer && value === 1)) return PROTOCOL_ERROR;
          break;
        case SETTINGS_MAX_CONCURRENT_STREAMS:
          this.maxConcurrentStreams = value;
          break;
        case SETTINGS_INITIAL_WINDOW_SIZE:
          if (value > maxWindowBytes) return FLOW_CONTROL_ERROR;
          this.initialWindowBytes = value;
          break;
        case SETTINGS_MAX_FRAME_SIZE:
          if (value < defaultFrameBytes || value > 2 ** 24 - 1) return PROTOCOL_ERROR;
          this.maxFrameBytes = value;
          break;
        case SETTINGS_ENABLE_CONNECT_PROTOCOL:
          // RFC 8441 §3: what was promised is not taken back.
          if (value > 1 || (this.takesExtendedConnect && value === 0)) return PROTOCOL_ERROR;
          this.takesExtendedConnect = value === 1;
          break;
      }
    }
    return NO_ERROR;
  }
}
