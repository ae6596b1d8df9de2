/**
 * The tokens by which agents prove which node they speak for.
 *
 * A token is 256 random bits and names its node; the store keeps only its SHA-256, in a Secret of kube-system, so that
 * it survives restarts and a stolen database opens nothing. A node has at most two valid tokens: the newest, and the
 * one before it, so that replacing a token does not cut off the agent that still runs with the old one.
 */

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Resource } from "../../api/resource.ts";
import { MeshError } from "../../base/error.ts";
import { Secret } from "../../base/secret.ts";
import type { Store } from "../../store/store.ts";
import type { Objects } from "./objects.ts";

export interface NodeTokens {
  /** A new token for the node. Throws `api.bad-request` where the name is none. */
  issue(node: string): Promise<Secret<string>>;
  /** The node that the token speaks for; undefined for tokens that were never issued or were replaced. */
  authenticate(token: string): string | undefined;
}

interface TokenSecret extends Resource {
  readonly data?: { readonly hashes?: string };
}

const prefix = "heddle-node";
const namespace = "kube-system";
const secretName = (node: string): string => `node-token-${node}`;

export async function openNodeTokens(store: Store, objects: Objects): Promise<NodeTokens> {
  const valid = new Map<string, readonly string[]>();
  for (const object of (await store.list("Secret", namespace)).objects) {
    const node = object.metadata.labels?.[label];
    if (node !== undefined) valid.set(node, hashesOf(object));
  }
  return {
    async issue(node) {
      if (!/^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/.test(node)) {
        throw new MeshError(
          "api.bad-request",
          `issue a token: node must be a DNS name in lower case, got "${node}"`,
          { fault: "user" },
        );
      }
      const token = `${prefix}.${node}.${randomBytes(32).toString("base64url")}`;
      const key = { kind: "Secret", namespace, name: secretName(node) };
      const { object } = await objects.change(key, "object", (current) => ({
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: key.name, namespace, labels: { [label]: node } },
        type: "heddle.dev/node-token",
        data: {
          hashes: Buffer.from([hash(token), ...hashesOf(current).slice(0, 1)].join(" ")).toString(
            "base64",
          ),
        },
      }));
      valid.set(node, hashesOf(object));
      return new Secret(token);
    },

    authenticate(token) {
      // The node's own name may contain dots; prefix and secret do not.
      const node = token.slice(prefix.length + 1, token.lastIndexOf("."));
      if (!token.startsWith(`${prefix}.`)) return undefined;
      const given = Buffer.from(hash(token));
      const matches = valid.get(node)?.some((one) => timingSafeEqual(Buffer.from(one), given));
      return matches ? node : undefined;
    },
  };
}

const label = "heddle.dev/node";

function hashesOf(object: TokenSecret | undefined): readonly string[] {
  const text = Buffer.from(object?.data?.hashes ?? "", "base64").toString("utf8");
  return text.split(" ").filter((one) => one.length === 64);
}

function hash(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
