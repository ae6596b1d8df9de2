/**
 * The node's WireGuard key pair: made at the agent's first start, and kept in its state folder.
 *
 * The private key never leaves the file but to the node's own device; the public one is told to everybody. Who wants
 * another pair deletes the file and starts the agent anew: the other nodes follow what it publishes.
 */

import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "../../base/error.ts";

export interface WireguardKey {
  /** Holds the private key in base64, as `wg genkey` writes it. */
  readonly keyFile: string;
  /** Base64. */
  readonly publicKey: string;
}

/** Throws MeshError `agent.wireguard-key` where the file is there and holds no key. */
export function wireguardKeyIn(stateDir: string): WireguardKey {
  const keyFile = join(stateDir, "wireguard.key");
  const text = read(keyFile) ?? make(stateDir, keyFile);
  const bytes = Buffer.from(text.trim(), "base64");
  if (bytes.length !== keyBytes || bytes.toString("base64") !== text.trim()) {
    throw new MeshError(
      "agent.wireguard-key",
      `${keyFile}: want a WireGuard key, ${keyBytes} bytes in base64, found ${text.length} characters that are none; delete the file to have a new key made`,
      { fault: "user" },
    );
  }
  chmodSync(keyFile, 0o600);
  return { keyFile, publicKey: publicKeyOf(bytes) };
}

const keyBytes = 32;

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function make(stateDir: string, keyFile: string): string {
  const { d = "" } = generateKeyPairSync("x25519").privateKey.export({ format: "jwk" });
  const text = `${Buffer.from(d, "base64url").toString("base64")}\n`;
  mkdirSync(stateDir, { recursive: true });
  // By rename: half a key is no key.
  writeFileSync(`${keyFile}.new`, text, { mode: 0o600 });
  renameSync(`${keyFile}.new`, keyFile);
  return text;
}

/** RFC 8410's frame around 32 bytes. */
const pkcs8Head = Buffer.from("302e020100300506032b656e04220420", "hex");

function publicKeyOf(bytes: Buffer): string {
  const der = Buffer.concat([pkcs8Head, bytes]);
  const key = createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
  const { x = "" } = key.export({ format: "jwk" });
  return Buffer.from(x, "base64url").toString("base64");
}
