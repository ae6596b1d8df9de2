/**
 * xDS: requests and responses, and the resources in them that a sidecar is configured by.
 *
 * For every input: reading throws nothing but a MeshError of xDS; and what was read, printed, is read as the same.
 */

import fc from "fast-check";
import { MeshError } from "../../src/base/error.ts";
import { decodeCluster, encodeCluster } from "../../src/wire/xds/cluster.ts";
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
} from "../../src/wire/xds/discovery.ts";
import { decodeEndpoints, encodeEndpoints } from "../../src/wire/xds/endpoints.ts";
import { decodeListener, encodeListener } from "../../src/wire/xds/listener.ts";
import { encodeProxyConfig } from "../../src/wire/xds/proxy-config.ts";
import {
  type EncodedResource,
  proxyTypes,
  typeUrls,
  type XdsResources,
} from "../../src/wire/xds/resources.ts";
import { decodeRoutes, encodeRoutes } from "../../src/wire/xds/route-config.ts";
import { decodeSecret, encodeSecret } from "../../src/wire/xds/secret.ts";
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
    const outcome = orRefused(() => stability[typeUrl]?.(typeUrl, input.slice(1)));
    if (outcome === false) throw new Error("printed, it is another");
    return outcome === true;
  },
};

/** By type: whether what is read of the content, printed and read again, prints the same. */
const stability: Readonly<
  Record<string, (typeUrl: string, content: Uint8Array) => boolean | undefined>
> = {
  [typeUrls.cluster]: stable(decodeCluster, encodeCluster),
  [typeUrls.endpoints]: stable(decodeEndpoints, encodeEndpoints),
  [typeUrls.listener]: stable(decodeListener, encodeListener),
  [typeUrls.route]: stable(decodeRoutes, encodeRoutes),
  [typeUrls.secret]: stable(decodeSecret, encodeSecret),
};

function stable<T>(
  decode: (resource: EncodedResource) => T,
  encode: (value: T) => EncodedResource,
): (typeUrl: string, content: Uint8Array) => boolean {
  return (typeUrl, content) =>
    isStable(
      (bytes) => decode({ typeUrl, name: "x", version: "", bytes }),
      (value) => encode(value).bytes,
      content,
    );
}

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
