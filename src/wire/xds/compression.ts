/**
 * How a route's answers are compressed. Envoy's compressor is a filter of the whole listener, so this travels in the
 * route's metadata (`heddle.compression`), and an Envoy does not compress.
 */

import type { Compression } from "../../model/proxy-config.ts";
import { invalid } from "./field.ts";
import type { JsonObject } from "./struct.ts";

export function encodeCompression({ algorithms, minBytes, contentTypes }: Compression): JsonObject {
  return { compression: { algorithms, min_bytes: minBytes, content_types: contentTypes } };
}

export function decodeCompression(own: JsonObject, path: string): Compression | undefined {
  const written = own["compression"];
  if (written === undefined) return undefined;
  const at = `${path}.compression`;
  if (written === null || typeof written !== "object" || !("algorithms" in written)) {
    throw invalid(at, "want algorithms, min_bytes and content_types");
  }
  const { algorithms, min_bytes: minBytes, content_types: contentTypes } = written;
  if (typeof minBytes !== "number") throw invalid(`${at}.min_bytes`, "want a number");
  return {
    algorithms: texts(algorithms, `${at}.algorithms`).map((name) => {
      if (name === "gzip" || name === "br") return name;
      throw invalid(`${at}.algorithms`, `want gzip or br, got ${name}`);
    }),
    minBytes,
    contentTypes: texts(contentTypes, `${at}.content_types`),
  };
}

function texts(value: unknown, path: string): readonly string[] {
  if (!Array.isArray(value)) throw invalid(path, "want a list");
  return value.map((each: unknown) => {
    if (typeof each !== "string") throw invalid(path, "want texts");
    return each;
  });
}
