/**
 * xDS: requests and responses, and the resources in them that a sidecar is configured by.
 *
 * For every input: reading throws nothing but a MeshError of xDS; and what was read, printed, is read as the same.
 */

import fc from "fast-check";
import { MeshError } from "../../src/base/error.ts";
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
} from "../../src/wire/xds/discovery.ts";
import { decodeProxyConfig, encodeProxyConfig } from "../../src/wire/xds/proxy-config.ts";
import {
  type EncodedResource,
  groupByType,
  proxyTypes,
  type XdsResources,
} from "../../src/wire/xds/resources.ts";
import { proxyConfig } from "../worlds/proxy-config.ts";
import type { FuzzTarget } from "./target.ts";

const hex = (text: string): Uint8Array => Buffer.from(text, "hex");
const configs = fc.sample(proxyConfig, { numRuns: 20, seed: 5 });
const resources = configs.flatMap((config) => flat(encodeProxyConfig(config)));
/** Mutated bytes are cut at a length: larger ones would only lose their ends. */
const short = resources.filter(({ bytes }) => bytes.length < 1500);
const dictionary = [
  "0a00",
  "1200",
  "1a02",
  "08ffffffffffffffffff01",
  "0affffffff0f",
  "7a",
  "fd",
].map(hex);

export const xdsMessages: FuzzTarget = {
  name: "xds messages",
  corpus: {
    dictionary,
    seeds: [
      encodeRequest({
        node: { id: "sidecar~10.0.0.1~a.b~c", cluster: "d" },
        typeUrl: "type.googleapis.com/a.B",
        subscribe: ["x", "y"],
        unsubscribe: ["z"],
        initialVersions: { x: "1" },
        nonce: "n",
        error: "no",
      }),
      ...short.slice(0, 8).map((resource) =>
        encodeResponse({
          typeUrl: resource.typeUrl,
          nonce: "n",
          systemVersion: "1",
          resources: [resource],
          removed: ["gone"],
        }),
      ),
    ],
  },
  check(bytes) {
    const isResponse = orRefused(() => isStable(decodeResponse, encodeResponse, bytes));
    const isRequest = orRefused(() => isStable(decodeRequest, encodeRequest, bytes));
    if (isResponse === false || isRequest === false) throw new Error("printed, it is another");
    return isResponse === true;
  },
};

/** The first byte says which type it is to be taken for. */
export const xdsResources: FuzzTarget = {
  name: "xds resources",
  corpus: {
    dictionary,
    seeds: short.map(({ typeUrl, bytes }) =>
      Buffer.concat([Uint8Array.of(proxyTypes.indexOf(typeUrl)), bytes]),
    ),
  },
  check(input) {
    const typeUrl = proxyTypes[(input[0] ?? 0) % proxyTypes.length] ?? "";
    const bytes = input.slice(1);
    const named = (content: Uint8Array): XdsResources =>
      groupByType([{ typeUrl, name: "x", version: "", bytes: content }]);
    const contentOf = (read: ReturnType<typeof decodeProxyConfig>): Uint8Array =>
      flat(encodeProxyConfig(read))[0]?.bytes ?? new Uint8Array();
    const outcome = orRefused(() =>
      isStable((content) => decodeProxyConfig(named(content)), contentOf, bytes),
    );
    if (outcome === false) throw new Error("printed, it is another");
    return outcome === true;
  },
};

/** What is read of `bytes`, printed and read again, prints the same. */
function isStable<T>(
  decode: (bytes: Uint8Array) => T,
  encode: (value: T) => Uint8Array,
  bytes: Uint8Array,
): boolean {
  const once = encode(decode(bytes));
  return Buffer.compare(once, encode(decode(once))) === 0;
}

/** Undefined where it was refused as it should be. */
function orRefused<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof MeshError && error.code.startsWith("xds.")) return undefined;
    throw error;
  }
}

function flat(all: XdsResources): readonly EncodedResource[] {
  return [...all.values()].flatMap((named) => [...named.values()]);
}
