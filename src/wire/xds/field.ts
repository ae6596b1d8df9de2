/**
 * Reading fields that must be there, with errors that say where: `Listener virtualInbound filter_chains[0].name: …`.
 *
 * Paths are written with protobuf's field names, so that they can be looked up in Envoy's documentation.
 */

import { MeshError } from "../../base/error.ts";
import type { Any, BoolValue, Duration, UInt32Value } from "./gen/message-types.ts";
import type { MessageType } from "./protobuf.ts";
import { decodeMessage, encodeMessage } from "./protobuf.ts";

const anyPrefix = "type.googleapis.com/";

export function invalid(path: string, why: string): MeshError {
  return new MeshError("xds.invalid", `${path}: ${why}`, { fault: "peer" });
}

export function required<T>(value: T | undefined, path: string): T {
  if (value === undefined || value === "") throw invalid(path, "is missing");
  return value;
}

/** Node throws where it is told to go to a port that is none. */
export function checkedPort(port: number | undefined, path: string): number {
  if (port === undefined || port <= 65_535) return port ?? 0;
  throw invalid(path, `want a port, got ${port}`);
}

export function pack<T extends object>(type: MessageType<T>, value: T): Any {
  return { typeUrl: anyPrefix + type.typeName, value: encodeMessage(type, value) };
}

export function isPacked(any: Any | undefined, type: MessageType<object>): boolean {
  return any?.typeUrl === anyPrefix + type.typeName;
}

export function unpack<T extends object>(
  type: MessageType<T>,
  any: Any | undefined,
  path: string,
): T {
  if (any === undefined) throw invalid(path, "is missing");
  if (!isPacked(any, type)) {
    throw invalid(path, `want ${type.typeName}, got "${any.typeUrl ?? ""}"`);
  }
  try {
    return decodeMessage(type, any.value ?? new Uint8Array());
  } catch (cause) {
    throw new MeshError("xds.invalid", path, { cause, fault: "peer" });
  }
}

/** A wrapped scalar: absent means `otherwise`; present and empty means false or zero, which proto3 does not write. */
export function wrappedBool(wrapper: BoolValue | undefined, otherwise: boolean): boolean {
  return wrapper === undefined ? otherwise : (wrapper.value ?? false);
}

export function wrappedNumber(wrapper: UInt32Value | undefined, otherwise: number): number {
  return wrapper === undefined ? otherwise : (wrapper.value ?? 0);
}

/** Milliseconds ⇄ google.protobuf.Duration. */
export function encodeDuration(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1e6) };
}

export function decodeDuration(duration: Duration | undefined): number | undefined {
  if (duration === undefined) return undefined;
  return (duration.seconds ?? 0) * 1000 + (duration.nanos ?? 0) / 1e6;
}

/** `{ key: value }`, or nothing at all: optional properties are absent, never undefined. */
export function given<K extends string, V>(
  key: K,
  value: V | undefined,
): { readonly [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: V };
}
