/** How answers of a VirtualService's routes are compressed: its annotation (docs/adr/0007). */

import { compressionOf } from "../../api/heddle/traffic-annotations.ts";
import type { VirtualService } from "../../api/istio/networking.ts";
import type { Compression } from "../../model/proxy-config.ts";

/**
 * Text that shrinks by more than it costs; streams of events are not among them, for they must not wait for each other.
 */
const shrinking: readonly string[] = [
  "text/html",
  "text/css",
  "text/plain",
  "text/xml",
  "text/javascript",
  "application/javascript",
  "application/json",
  "application/xml",
  "application/xhtml+xml",
  "application/ld+json",
  "application/manifest+json",
  "application/wasm",
  "image/svg+xml",
];

/** Envoy's would be 30; a packet's worth is sent as quickly either way. */
const leastBytes = 1_024;

export function compressionFor(rules: VirtualService): { readonly compression?: Compression } {
  const asked = compressionOf(rules);
  if (asked === undefined) return {};
  const { algorithms = ["br", "gzip"], minBytes = leastBytes, contentTypes = shrinking } = asked;
  const lower = contentTypes.map((type) => type.toLowerCase());
  return { compression: { algorithms, minBytes, contentTypes: lower } };
}
