/** A bidirectional stream of messages. Callbacks, not iterators: one call for each message. */

import type { MeshError } from "../base/error.ts";

export interface DeltaHandlers {
  /** May throw MeshError: the stream is then closed with it. */
  message(bytes: Uint8Array): void;
  /** Called once, whoever ended the stream. */
  end(error: MeshError): void;
}

export interface DeltaConnection {
  send(bytes: Uint8Array): void;
  close(): void;
}

export type OpenDelta = (handlers: DeltaHandlers) => DeltaConnection;
