/** A bidirectional stream of messages, and its gRPC form. Callbacks, not iterators: one call for each message. */

import type { Client, ServiceError } from "@grpc/grpc-js";
import { MeshError } from "../base/error.ts";
import { callError, metadataFor, openClient, openStream, type Target } from "./grpc.ts";

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

export interface DeltaStreams {
  readonly open: OpenDelta;
  close(): void;
}

/** Streams of one method to one target, over one connection that is opened with the first. */
export function deltaStreams(
  target: Target,
  method: string,
  metadata: Readonly<Record<string, string>> = {},
): DeltaStreams {
  let client: Client | undefined;
  return {
    open: (handlers) => {
      client ??= openClient(target);
      return open(client, target, method, metadata, handlers);
    },
    close: () => client?.close(),
  };
}

function open(
  client: Client,
  target: Target,
  method: string,
  metadata: Readonly<Record<string, string>>,
  handlers: DeltaHandlers,
): DeltaConnection {
  const stream = openStream(client, method, metadataFor(target, metadata));
  const doing = `stream from ${target.kind === "unix" ? target.path : target.target}`;
  let isOpen = true;
  const end = (error: MeshError): void => {
    if (!isOpen) return;
    isOpen = false;
    stream.cancel();
    handlers.end(error);
  };
  stream.on("data", (bytes: Uint8Array) => {
    if (!isOpen) return;
    try {
      handlers.message(bytes);
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
      end(error);
    }
  });
  stream.on("error", (error: ServiceError) => end(callError(doing, error)));
  stream.on("end", () =>
    end(new MeshError("rpc.ended", `${doing}: the peer closed it`, { retryable: true })),
  );
  return {
    send: (bytes) => {
      if (isOpen) stream.write(bytes);
    },
    close: () => end(new MeshError("rpc.closed", doing)),
  };
}
