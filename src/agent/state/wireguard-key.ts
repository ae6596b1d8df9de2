/**
 * The node's WireGuard key pair: made at the agent's first start, and kept in its state folder.
 *
 * The private key never leaves the file but to the node's own device; the public one is told to everybody. Who wants
 * another pair deletes the file and starts the agent anew: the other nodes follow what it publishes.
 */

import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { MeshError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";

export interface WireguardKey {
  /** Holds the private key in base64, as `wg genkey` writes it. */
  readonly keyFile: string;
  /** Base64. */
  readonly publicKey: string;
}

/**
 * Makes one where there is no file, or an empty one: what a loss of power leaves of a file that was not on the disk yet.
 * Throws MeshError `agent.wireguard-key` where the file holds something else than a key.
 */
export function wireguardKeyIn(stateDir: string): WireguardKey {
  const keyFile = join(stateDir, "wireguard.key");
  const text = read(keyFile) || make(stateDir, keyFile);
  const bytes = Buffer.from(text.trim(), "base64");
  if (bytes.length !== keyBytes || bytes.toString("base64") !== text.trim()) {
    throw new MeshError(
      "agent.wireguard-key",
      `${keyFile}: want a WireGuard key, ${keyBytes} bytes in base64, found ${text.length} characters that are none; delete the file and restart the agent to have a new key made`,
      { fault: "user" },
    );
  }
  chmodSync(keyFile, 0o600);
  return { keyFile, publicKey: publicKeyOf(bytes) };
}

/** A node without a key cannot encrypt, and need not where nothing is to be encrypted: it says why, and goes on. */
export function keyOrNone(stateDir: string, log: Log): WireguardKey | { readonly missing: string } {
  try {
    return wireguardKeyIn(stateDir);
  } catch (error) {
    if (!(error instanceof MeshError && error.code === "agent.wireguard-key")) throw error;
    log.warn("node has no WireGuard key", { error: error.message });
    return { missing: error.message };
  }
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
  // By rename, of what is on the disk already: half a key is no key.
  writeFileSync(`${keyFile}.new`, text, { mode: 0o600, flush: true });
  renameSync(`${keyFile}.new`, keyFile);
  const folder = openSync(stateDir, "r");
  fsyncSync(folder);
  closeSync(folder);
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
