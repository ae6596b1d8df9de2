/**
 * A gRPC server of byte streams and byte calls, on TCP with TLS or on a unix socket without.
 *
 * Handlers throw MeshErrors; callers see a gRPC status made of its code and its message.
 */

import { setTimeout as delay } from "node:timers/promises";
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { MeshError, renderError } from "../base/error.ts";
import type { Secret } from "../base/secret.ts";
import { channelOptions, fromBuffer, toBuffer } from "./grpc.ts";

export type Listen =
  | { readonly kind: "unix"; readonly path: string }
  | {
      readonly kind: "tls";
      readonly host: string;
      /** 0: any free one. */
      readonly port: number;
      readonly keyPem: Secret<string>;
      readonly certPem: string;
    };

/** Reads a value of the call's metadata. */
export type CallMetadata = (name: string) => string | undefined;
export type ServedStream = ServerDuplexStream<Uint8Array, Uint8Array>;

export interface GrpcHandlers {
  readonly streams: Readonly<Record<string, (stream: ServedStream) => void>>;
  readonly calls?: Readonly<
    Record<string, (request: Uint8Array, metadata: CallMetadata) => Promise<Uint8Array>>
  >;
}

export interface GrpcServer {
  readonly port: number;
  /** Ends all streams at once: clients keep what they have and come back. */
  close(): Promise<void>;
}

export async function serveGrpc(listen: Listen, handlers: GrpcHandlers): Promise<GrpcServer> {
  const server = new Server({
    ...channelOptions,
    "grpc.keepalive_time_ms": 30_000,
    // Clients ping every 10 s, also while nothing is sent.
    "grpc.max_connection_age_grace_ms": 0,
  });
  const streams = new Set<ServedStream>();
  for (const [path, open] of Object.entries(handlers.streams)) {
    const opened = (stream: ServedStream): void => {
      streams.add(stream);
      stream.on("close", () => streams.delete(stream));
      open(stream);
    };
    server.register(path, opened, toBuffer, fromBuffer, "bidi");
  }
  for (const [path, call] of Object.entries(handlers.calls ?? {})) {
    server.register(path, answering(call), toBuffer, fromBuffer, "unary");
  }
  const address = listen.kind === "unix" ? `unix:${listen.path}` : `${listen.host}:${listen.port}`;
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, serverCredentials(listen), (cause, port) => {
      if (cause === null) resolve(port);
      else reject(new MeshError("rpc.listen", `listen on ${address}`, { cause, fault: "host" }));
    });
  });
  return {
    port,
    close: async () => {
      // Said, not just cut: a client that is told goes elsewhere at once, one that is cut off waits for its next ping.
      const closing = new MeshError("rpc.unavailable", "the server is closing", {
        retryable: true,
      });
      for (const stream of streams) failStream(stream, closing);
      await Promise.race([shutDown(server), delay(closeWithinMs, undefined, { ref: false })]);
      server.forceShutdown();
    },
  };
}

/** Long enough for the last answers to leave; a client that does not hang up is cut off then. */
const closeWithinMs = 500;

function shutDown(server: Server): Promise<void> {
  return new Promise((resolve) => server.tryShutdown(() => resolve()));
}

/** The first value of a name, where it is text. */
export function readerOf(metadata: Metadata): CallMetadata {
  return (name) => {
    const value = metadata.get(name)[0];
    return typeof value === "string" ? value : undefined;
  };
}

/** Ends a stream with an error that its client can act on. */
export function failStream(stream: ServedStream, error: unknown): void {
  stream.emit("error", statusOf(error));
}

function answering(
  call: (request: Uint8Array, metadata: CallMetadata) => Promise<Uint8Array>,
): (request: ServerUnaryCall<Uint8Array, Uint8Array>, reply: sendUnaryData<Uint8Array>) => void {
  return (request, reply) => {
    call(request.request, readerOf(request.metadata)).then(
      (answer) => reply(null, answer),
      (error: unknown) => reply(statusOf(error)),
    );
  };
}

/** By the last part of the error's code; what is not known is the server's own fault. */
const statuses: Readonly<Record<string, number>> = {
  unauthenticated: status.UNAUTHENTICATED,
  forbidden: status.PERMISSION_DENIED,
  invalid: status.INVALID_ARGUMENT,
  malformed: status.INVALID_ARGUMENT,
  csr: status.INVALID_ARGUMENT,
  unavailable: status.UNAVAILABLE,
  superseded: status.ABORTED,
};

function statusOf(error: unknown): { code: number; details: string } {
  const name = error instanceof MeshError ? (error.code.split(".").at(-1) ?? "") : "";
  return { code: statuses[name] ?? status.INTERNAL, details: renderError(error) };
}

function serverCredentials(listen: Listen): ServerCredentials {
  if (listen.kind === "unix") return ServerCredentials.createInsecure();
  const pair = {
    private_key: Buffer.from(listen.keyPem.reveal()),
    cert_chain: Buffer.from(listen.certPem),
  };
  return ServerCredentials.createSsl(null, [pair]);
}
