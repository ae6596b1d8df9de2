/** The messages of the delta discovery protocol, with their absent fields filled in. */

import { MeshError } from "../../base/error.ts";
import type { Node } from "./gen/message-types.ts";
import { DeltaDiscoveryRequest, DeltaDiscoveryResponse, Snapshot } from "./gen/messages.ts";
import { decodeMessage, encodeMessage } from "./protobuf.ts";
import type { EncodedResource } from "./resources.ts";
import { encodeResource, typeUrls } from "./resources.ts";

export interface DeltaRequest {
  /** Only in the first request of a stream. */
  readonly node?: Node;
  readonly typeUrl: string;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  readonly initialVersions: Readonly<Record<string, string>>;
  /** Empty in a request that answers nothing. */
  readonly nonce: string;
  /** Set where the response with that nonce is refused. */
  readonly error?: string;
}

export interface DeltaResponse {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly systemVersion: string;
  readonly resources: readonly EncodedResource[];
  readonly removed: readonly string[];
}

/** What Heddle's own servers call themselves. */
const ownServer = "heddle";

/** gRPC's INVALID_ARGUMENT, what Envoy sends with a refusal. */
const invalidArgument = 3;

export function encodeRequest(request: DeltaRequest): Uint8Array {
  return encodeMessage(DeltaDiscoveryRequest, {
    node: request.node,
    typeUrl: request.typeUrl,
    resourceNamesSubscribe: request.subscribe,
    resourceNamesUnsubscribe: request.unsubscribe,
    initialResourceVersions: request.initialVersions,
    responseNonce: request.nonce,
    errorDetail:
      request.error === undefined ? undefined : { code: invalidArgument, message: request.error },
  });
}

export function decodeRequest(bytes: Uint8Array): DeltaRequest {
  const message = decodeMessage(DeltaDiscoveryRequest, bytes);
  return {
    ...(message.node === undefined ? {} : { node: message.node }),
    typeUrl: message.typeUrl ?? "",
    subscribe: message.resourceNamesSubscribe ?? [],
    unsubscribe: message.resourceNamesUnsubscribe ?? [],
    initialVersions: message.initialResourceVersions ?? {},
    nonce: message.responseNonce ?? "",
    ...(message.errorDetail === undefined ? {} : { error: message.errorDetail.message ?? "" }),
  };
}

export function encodeResponse(response: DeltaResponse): Uint8Array {
  return encodeMessage(DeltaDiscoveryResponse, {
    systemVersionInfo: response.systemVersion,
    resources: response.resources.map(({ name, version, typeUrl, bytes }) => ({
      name,
      version,
      ...(typeUrl === "" ? {} : { resource: { typeUrl, value: bytes } }),
    })),
    typeUrl: response.typeUrl,
    removedResources: response.removed,
    nonce: response.nonce,
    controlPlane: { identifier: ownServer },
  });
}

export interface ReceivedResponse extends DeltaResponse {
  /** It is from a server of Heddle's, which ends its rounds with a snapshot mark. */
  readonly isMarked: boolean;
}

export function decodeResponse(bytes: Uint8Array): ReceivedResponse {
  const message = decodeMessage(DeltaDiscoveryResponse, bytes);
  const typeUrl = message.typeUrl ?? "";
  return {
    typeUrl,
    nonce: message.nonce ?? "",
    systemVersion: message.systemVersionInfo ?? "",
    resources: (message.resources ?? []).map(({ name = "", version = "", resource }) => ({
      typeUrl: resource === undefined ? "" : (resource.typeUrl ?? typeUrl),
      name,
      version,
      bytes: resource?.value ?? new Uint8Array(),
    })),
    removed: message.removedResources ?? [],
    isMarked: message.controlPlane?.identifier === ownServer,
  };
}

/** Throws MeshError `xds.malformed` where the resource has no content, or another than its answer says. */
export function checkType({ name, typeUrl }: EncodedResource, wanted: string): void {
  if (typeUrl === wanted) return;
  const found = typeUrl === "" ? "no content" : typeUrl;
  throw new MeshError("xds.malformed", `resource ${name}: want ${wanted}, got ${found}`, {
    fault: "peer",
  });
}

/** The mark that ends a round: its version is the world's, and acknowledging it acknowledges the whole round. */
export function encodeSnapshotMark(version: string): EncodedResource {
  return { ...encodeResource(typeUrls.snapshot, "snapshot", Snapshot, { version }), version };
}
