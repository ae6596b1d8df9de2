/**
 * Resources as JSON, in protobuf's own mapping with the names of the .proto files: what an Envoy's `/config_dump` prints
 * and tools for it read.
 *
 * Only what Heddle knows of a message is there. Enums that Heddle has no names for are numbers, which readers take too.
 */

import type { Json } from "../../base/json.ts";
import type {
  Any,
  BoolValue,
  Duration,
  Struct,
  UInt32Value,
  UInt64Value,
} from "../../wire/xds/gen/message-types.ts";
import * as messages from "../../wire/xds/gen/messages.ts";
import { decodeMessage, type Field, type MessageType } from "../../wire/xds/protobuf.ts";
import type { EncodedResource } from "../../wire/xds/resources.ts";
import { decodeStruct, type JsonObject } from "../../wire/xds/struct.ts";

const anyPrefix = "type.googleapis.com/";

/** With its `@type`. */
export function resourceJson({ typeUrl, bytes }: EncodedResource): JsonObject {
  return packedJson(typeUrl, bytes);
}

const byTypeUrl: ReadonlyMap<string, MessageType<object>> = new Map(
  Object.values(messages)
    .filter((one): one is MessageType<object> => "typeName" in one)
    .map((type) => [anyPrefix + type.typeName, type]),
);

function packedJson(typeUrl: string, bytes: Uint8Array): JsonObject {
  const type = byTypeUrl.get(typeUrl);
  if (type === undefined) return { "@type": typeUrl, value: base64(bytes) };
  return { "@type": typeUrl, ...fieldsJson(type, decodeMessage(type, bytes)) };
}

function messageJson(type: MessageType<object>, value: object): Json {
  switch (type.typeName) {
    case "google.protobuf.Any": {
      const { typeUrl = "", value: bytes = new Uint8Array() } = value as Any;
      return packedJson(typeUrl, bytes);
    }
    case "google.protobuf.Duration":
      return durationText(value as Duration);
    case "google.protobuf.Struct":
      return decodeStruct(value as Struct);
    case "google.protobuf.BoolValue":
      return (value as BoolValue).value ?? false;
    case "google.protobuf.UInt32Value":
      return (value as UInt32Value).value ?? 0;
    case "google.protobuf.UInt64Value":
      return String((value as UInt64Value).value ?? 0);
    default:
      return fieldsJson(type, value);
  }
}

function fieldsJson(type: MessageType<object>, value: object): JsonObject {
  const values = value as Readonly<Record<string, unknown>>;
  const json: Record<string, Json> = {};
  for (const field of type.fields) {
    const content = values[field[1]];
    if (content !== undefined) json[protoName(field[1])] = fieldJson(type, field, content);
  }
  return json;
}

function fieldJson(type: MessageType<object>, field: Field, content: unknown): Json {
  const one = (item: unknown): Json => scalarJson(type, field, item);
  switch (field[3]) {
    case "many":
      return (content as readonly unknown[]).map(one);
    case "map":
      return Object.fromEntries(
        Object.entries(content as object).map(([key, item]) => [key, one(item)]),
      );
    default:
      return one(content);
  }
}

function scalarJson(type: MessageType<object>, field: Field, value: unknown): Json {
  const [, name, kind, , sub] = field;
  switch (kind) {
    case "message":
      return sub === undefined ? null : messageJson(sub(), value as object);
    case "bytes":
      return base64(value as Uint8Array);
    case "int64":
    case "uint64":
      return String(value);
    case "enum":
      return enumName(`${type.typeName}.${name}`, value as number);
    default:
      return value as Json;
  }
}

const enums: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  "envoy.config.cluster.v3.Cluster.dnsLookupFamily": messages.DnsLookupFamily,
  "envoy.config.cluster.v3.Cluster.lbPolicy": messages.LbPolicy,
  "envoy.config.cluster.v3.Cluster.type": messages.DiscoveryType,
  "envoy.config.core.v3.ApiConfigSource.apiType": messages.ApiType,
  "envoy.config.core.v3.ApiConfigSource.transportApiVersion": messages.ApiVersion,
  "envoy.config.core.v3.ConfigSource.resourceApiVersion": messages.ApiVersion,
  "envoy.config.core.v3.HealthCheck.HttpHealthCheck.method": messages.RequestMethod,
  "envoy.config.core.v3.HeaderValueOption.appendAction": messages.AppendAction,
  "envoy.config.endpoint.v3.LbEndpoint.healthStatus": messages.HealthStatus,
  "envoy.config.listener.v3.Listener.trafficDirection": messages.TrafficDirection,
  "envoy.config.rbac.v3.RBAC.action": messages.RbacAction,
  "envoy.config.route.v3.RedirectAction.responseCode": messages.RedirectCode,
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.forwardClientCertDetails":
    messages.ForwardClientCert,
  "envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher.sanType": messages.SanType,
  "envoy.extensions.transport_sockets.tls.v3.TlsParameters.tlsMaximumProtocolVersion":
    messages.TlsProtocol,
  "envoy.extensions.transport_sockets.tls.v3.TlsParameters.tlsMinimumProtocolVersion":
    messages.TlsProtocol,
  "envoy.type.v3.FractionalPercent.denominator": messages.DenominatorType,
};

function enumName(field: string, value: number): Json {
  const names = Object.entries(enums[field] ?? {});
  return names.find(([, number]) => number === value)?.[0] ?? value;
}

/** `statPrefix` → `stat_prefix`, `consecutive5xx` → `consecutive_5xx`. */
function protoName(name: string): string {
  return name.replace(/[A-Z]|5(?=xx)/g, (letter) => `_${letter.toLowerCase()}`);
}

/** With none, three, six or nine digits behind the point. */
function durationText({ seconds = 0, nanos = 0 }: Duration): string {
  const fraction = String(Math.abs(nanos))
    .padStart(9, "0")
    .replace(/(000)+$/, "");
  return `${seconds}${fraction === "" ? "" : `.${fraction}`}s`;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
