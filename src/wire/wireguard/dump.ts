/**
 * What `wg show DEVICE dump` says: one line of the device, then one of each peer, fields apart by tabs.
 *
 * The device's private key is in it. It is read past: nobody else is to have it, and no error repeats a line.
 */

import { MeshError } from "../../base/error.ts";

export interface WireguardDevice {
  /** Base64; `(none)` where the device has no private key yet. */
  readonly publicKey: string;
  /** UDP; 0 where it listens nowhere yet. */
  readonly port: number;
  readonly peers: readonly WireguardPeer[];
}

export interface WireguardPeer {
  /** Base64. */
  readonly publicKey: string;
  /** `192.0.2.2:51871`, `[2001:db8::2]:51871`; empty where it is not known. */
  readonly endpoint: string;
  /** CIDRs, sorted. */
  readonly allowed: readonly string[];
  /** Seconds since 1970; undefined where there was none. */
  readonly handshakeAt?: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/** Throws MeshError `wire.wireguard.dump` that names the line and what is wrong with it. */
export function parseWireguardDump(text: string): WireguardDevice {
  const [first = "", ...rest] = text.split("\n").filter((line) => line !== "");
  const [, publicKey = "", port = ""] = fields(first, 4, 1);
  return {
    publicKey,
    port: natural(port, 1, "listen port"),
    peers: rest
      .map((line, index) => peer(line, index + 2))
      .sort((a, b) => (a.publicKey < b.publicKey ? -1 : 1)),
  };
}

function peer(line: string, number: number): WireguardPeer {
  const [publicKey = "", , endpoint = "", allowed = "", handshake = "", received = "", sent = ""] =
    fields(line, 8, number);
  const handshakeAt = natural(handshake, number, "latest handshake");
  return {
    publicKey,
    endpoint: endpoint === none ? "" : endpoint,
    allowed: allowed === none ? [] : allowed.split(",").sort(),
    ...(handshakeAt === 0 ? {} : { handshakeAt }),
    receivedBytes: natural(received, number, "received bytes"),
    sentBytes: natural(sent, number, "sent bytes"),
  };
}

const none = "(none)";

function fields(line: string, wanted: number, number: number): readonly string[] {
  const found = line.split("\t");
  if (found.length !== wanted) throw wrong(number, `${found.length} fields, want ${wanted}`);
  return found;
}

function natural(text: string, number: number, what: string): number {
  if (!/^\d{1,20}$/.test(text)) throw wrong(number, `${what} is no number`);
  return Number(text);
}

function wrong(number: number, what: string): MeshError {
  return new MeshError("wire.wireguard.dump", `read line ${number} of wg's dump: ${what}`);
}
