/**
 * Reads the server's name and the application protocols out of a TLS ClientHello, without terminating it (RFC 8446
 * §4.1.2, RFC 6066 §3, RFC 7301).
 *
 * Only what chain selection needs; a hello that is cut, or no hello, is not judged here: terminating it will.
 */

export interface ClientHello {
  readonly alpn: readonly string[];
  /** Lower case. */
  readonly serverName?: string;
}

const extensionServerName = 0;
const extensionAlpn = 16;

/** Undefined: more bytes are needed. `{ alpn: [] }` for what is no hello, or says neither. */
export function readClientHello(bytes: Buffer): ClientHello | undefined {
  const none: ClientHello = { alpn: [] };
  const hello = handshakeBytes(bytes);
  if (hello === undefined) return undefined;
  if (hello[0] !== 1 || hello.length < 4) return none;
  const length = hello.readUIntBE(1, 3);
  if (hello.length < 4 + length) return undefined;
  const end = 4 + length;
  // version 2, random 32, then session id, cipher suites and compression methods, each with its length
  let at = 4 + 2 + 32;
  if (at >= end) return none;
  at += 1 + (hello[at] ?? 0);
  if (at + 2 > end) return none;
  at += 2 + hello.readUInt16BE(at);
  if (at >= end) return none;
  at += 1 + (hello[at] ?? 0) + 2;
  let alpn: readonly string[] = [];
  let serverName: string | undefined;
  while (at + 4 <= end) {
    const type = hello.readUInt16BE(at);
    const size = hello.readUInt16BE(at + 2);
    at += 4;
    if (at + size > end) return none;
    if (type === extensionAlpn) alpn = protocolNames(hello.subarray(at, at + size));
    if (type === extensionServerName) serverName = hostName(hello.subarray(at, at + size));
    at += size;
  }
  return serverName === undefined ? { alpn } : { alpn, serverName };
}

/** The list has one entry in practice, of type host_name (0). */
function hostName(extension: Buffer): string | undefined {
  if (extension.length < 5 || extension[2] !== 0) return undefined;
  const size = extension.readUInt16BE(3);
  if (size === 0 || 5 + size > extension.length) return undefined;
  return extension.toString("latin1", 5, 5 + size).toLowerCase();
}

/** The handshake messages of the first records, put together; undefined while the first one is incomplete. */
function handshakeBytes(bytes: Buffer): Buffer | undefined {
  const parts: Buffer[] = [];
  let at = 0;
  while (at + 5 <= bytes.length && bytes[at] === 0x16) {
    const size = bytes.readUInt16BE(at + 3);
    const whole = at + 5 + size <= bytes.length;
    parts.push(bytes.subarray(at + 5, at + 5 + size));
    if (!whole) break;
    at += 5 + size;
  }
  const joined = Buffer.concat(parts);
  return joined.length < 4 ? undefined : joined;
}

function protocolNames(extension: Buffer): readonly string[] {
  const names: string[] = [];
  let at = 2;
  while (at < extension.length) {
    const size = extension[at] ?? 0;
    if (size === 0 || at + 1 + size > extension.length) break;
    names.push(extension.toString("latin1", at + 1, at + 1 + size));
    at += 1 + size;
  }
  return names;
}
