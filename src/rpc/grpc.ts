/**
 * gRPC as servers and agents use it: messages as bytes, errors as MeshErrors.
 *
 * Messages are encoded and decoded by wire/xds, so that a relay can pass them on unread. A channel is TLS to the server:
 * its certificate checked against the given roots, a bearer token on each call. Not here: how sidecars reach their agent
 * (unix-stream.ts).
 */

import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import type { MeshError } from "../base/error.ts";
import { failedCall } from "./call-error.ts";
import { callMetadata } from "./methods.ts";

/** Where to call, and how to be believed there. */
export interface Target {
  /** `host:port`. */
  readonly target: string;
  readonly token: string;
  /** PEM of the authorities that may vouch for the server. */
  readonly roots: string;
}

/**
 * A peer that is gone without a word is noticed within 15 s. Reconnecting is quick, because a restarted server or
 * agent is back within a second and every sidecar's news waits for it. Configurations may be large.
 */
export const channelOptions = {
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2_000,
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
  "grpc.enable_channelz": 0,
} as const;

export function openClient(target: Target): Client {
  const host = hostOf(target.target);
  return new Client(target.target, tlsCredentials(target.roots, host), {
    ...channelOptions,
    // An address must not be sent as a TLS server name (RFC 6066 §3). The certificate is checked against it all the
    // same.
    ...(isIP(host) === 0 ? {} : { "grpc.ssl_target_name_override": "heddle-server" }),
  });
}

export function metadataFor(
  target: Target,
  entries: Readonly<Record<string, string>> = {},
): Metadata {
  const metadata = new Metadata();
  metadata.set(callMetadata.authorization, `Bearer ${target.token}`);
  for (const [name, value] of Object.entries(entries)) metadata.set(name, value);
  return metadata;
}

export type ByteStream = ClientDuplexStream<Uint8Array, Uint8Array>;

export function openStream(client: Client, method: string, metadata: Metadata): ByteStream {
  return client.makeBidiStreamRequest(method, toBuffer, fromBuffer, metadata);
}

export function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function fromBuffer(buffer: Buffer): Uint8Array {
  return buffer;
}

/** What a failed call means. */
export function callError(doing: string, error: ServiceError): MeshError {
  const name = (status[error.code] ?? "UNKNOWN").toLowerCase().replaceAll("_", "-");
  return failedCall(doing, name, error.details || error.message);
}

const knownCredentials = new Map<string, ChannelCredentials>();

/** The same object for the same peer: channels of one process then share their connection to the server. */
function tlsCredentials(roots: string, host: string): ChannelCredentials {
  const key = `${host} ${roots}`;
  const known =
    knownCredentials.get(key) ??
    credentials.createSsl(Buffer.from(roots), null, null, {
      checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate),
    });
  knownCredentials.set(key, known);
  return known;
}

/** The host of `host:port`, without the brackets of an IPv6 address. */
function hostOf(target: string): string {
  return target.slice(0, target.lastIndexOf(":")).replace(/^\[(.*)\]$/, "$1");
}
