/**
 * One pod's xDS server on a unix socket, as its sidecar sees it: configuration from the server, secrets from the node.
 *
 * Configuration messages pass through unread, with the node's token and the pod's name added; a sidecar needs no
 * network and no credentials of its own, and a policy that cuts off its pod does not cut off the sidecar. Secrets are
 * served right here: keys never leave the node.
 *
 * When the server is gone the sidecar's stream ends with the same error; it keeps its configuration and comes back.
 */

import type { Client, ServiceError } from "@grpc/grpc-js";
import type { Log } from "../base/log.ts";
import { typeUrls } from "../wire/xds/resources.ts";
import type { Secret } from "../wire/xds/secret.ts";
import { encodeSecrets } from "../wire/xds/secret.ts";
import { type Accepted, serveDelta } from "./ads-server.ts";
import { type ByteStream, metadataFor, openClient, openStream, type Target } from "./grpc.ts";
import { type ServedStream, serveGrpc } from "./grpc-server.ts";
import { methods } from "./methods.ts";

export interface SecretSource {
  current(): readonly Secret[];
  /** Every change from now on, newest only. */
  changes(signal: AbortSignal): AsyncIterable<readonly Secret[]>;
}

export interface RelayOptions {
  /** Path of the unix socket; must not exist. */
  readonly listenSocket: string;
  readonly upstream: Target;
  /** Added to every call to the server: `heddle-pod`, `heddle-pod-uid`. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly sds: SecretSource;
  readonly log: Log;
}

export interface Relay {
  close(): Promise<void>;
}

export async function relayAds(options: RelayOptions): Promise<Relay> {
  const { upstream } = options;
  const client = openClient(upstream);
  const server = await serveGrpc(
    { kind: "unix", path: options.listenSocket },
    {
      streams: {
        [methods.deltaResources]: (stream) => pass(stream, client, upstream, options.metadata),
        [methods.deltaSecrets]: serveDelta(() => secretsFrom(options.sds), options.log),
      },
    },
  );
  return {
    close: async () => {
      await server.close();
      client.close();
    },
  };
}

function pass(
  downstream: ServedStream,
  client: Client,
  target: Target,
  metadata: Readonly<Record<string, string>>,
): void {
  const upstream = openStream(client, methods.deltaResources, metadataFor(target, metadata));
  downstream.on("cancelled", () => upstream.cancel());
  downstream.on("error", () => upstream.cancel());
  upstream.on("error", (error: ServiceError) => {
    downstream.emit("error", { code: error.code, details: error.details });
  });
  forward(downstream, upstream);
  forward(upstream, downstream);
}

/** Stops reading while the other side does not take more. */
function forward(from: ByteStream | ServedStream, to: ByteStream | ServedStream): void {
  from.on("data", (bytes: Uint8Array) => {
    if (to.write(bytes)) return;
    from.pause();
    to.once("drain", () => from.resume());
  });
  from.on("end", () => to.end());
}

function secretsFrom(source: SecretSource): Accepted {
  return {
    types: [typeUrls.secret],
    opened: (session) => {
      const stop = new AbortController();
      let version = 0;
      const offer = (secrets: readonly Secret[]): void => {
        session.offer(++version, encodeSecrets(secrets));
      };
      const follow = async (): Promise<void> => {
        for await (const secrets of source.changes(stop.signal)) offer(secrets);
      };
      const first = source.current();
      // Before the first certificate there is nothing to say: an empty answer would mean "no such secret".
      if (first.length > 0) offer(first);
      void follow();
      return () => stop.abort();
    },
  };
}
