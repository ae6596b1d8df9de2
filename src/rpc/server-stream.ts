/** Delta streams to the server. */

import type { Client, ServiceError } from "@grpc/grpc-js";
import { MeshError } from "../base/error.ts";
import type { DeltaConnection, DeltaHandlers, OpenDelta } from "./delta-stream.ts";
import { callError, metadataFor, openClient, openStream, type Target } from "./grpc.ts";

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
  const doing = `stream from ${target.target}`;
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
