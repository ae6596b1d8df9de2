/**
 * What is read before a connection's protocol is known: the PROXY header, and a TLS ClientHello.
 *
 * For every input: reading never throws; what was read of some bytes is not taken back when more come; and a header,
 * printed from what was read of it in either version, is read as the same source again.
 */

import { seededRandom } from "../../src/base/random.ts";
import { readClientHello } from "../../src/proxy/listen/client-hello.ts";
import { proxyHeader, readProxyHeader } from "../../src/wire/proxy-protocol/header.ts";
import type { FuzzTarget } from "./target.ts";

const latin1 = (text: string): Uint8Array => Buffer.from(text, "latin1");
const random = seededRandom(7);

const source = { address: "192.0.2.1", port: 40_000 };
const source6 = { address: "2001:db8::1", port: 40_000 };
const destination = { address: "192.0.2.2", port: 443 };
const destination6 = { address: "2001:db8::2", port: 443 };

export const proxyHeaders: FuzzTarget = {
  name: "proxy-protocol headers",
  corpus: {
    seeds: [
      proxyHeader("v1", { source, destination }),
      proxyHeader("v1", { source: source6, destination: destination6 }),
      proxyHeader("v1"),
      proxyHeader("v2", { source, destination }),
      proxyHeader("v2", { source: source6, destination: destination6 }),
      proxyHeader("v2"),
    ],
    dictionary: [
      "PROXY ",
      "TCP4 ",
      "TCP6 ",
      "UNKNOWN",
      "\r\n",
      "65536",
      "::ffff:1.2.3.4",
      "\x21\x11",
      "\x00\x0c",
    ].map(latin1),
  },
  check(bytes) {
    const whole = readProxyHeader(bytes);
    if (whole.kind !== "header") {
      const cut = readProxyHeader(bytes.subarray(0, Math.floor(random() * bytes.length)));
      if (cut.kind === "header") throw new Error("more bytes took a header back");
      return false;
    }
    const { length } = whole;
    if (length > bytes.length) throw new Error(`a header of ${length} bytes`);
    const cut = readProxyHeader(bytes.subarray(0, Math.floor(random() * length)));
    if (cut.kind !== "partial") throw new Error(`the beginning of a header is ${cut.kind}`);
    if (whole.source === undefined) return true;
    const isIpv6 = whole.source.address.includes(":");
    const ends = { source: whole.source, destination: isIpv6 ? destination6 : destination };
    for (const version of ["v1", "v2"] as const) {
      const again = readProxyHeader(proxyHeader(version, ends));
      const isSame =
        again.kind === "header" &&
        again.source?.port === whole.source.port &&
        (again.source.address === whole.source.address || isIpv6);
      if (!isSame) throw new Error(`printed as ${version}, it is read as ${JSON.stringify(again)}`);
    }
    return true;
  },
};

/** A hello with a name and protocols, as its record; cipher suites and key shares do not matter here. */
function hello(name: string, protocols: readonly string[]): Uint8Array {
  const names = latin1(`\x00\x00${String.fromCharCode(name.length)}${name}`);
  const list = latin1(protocols.map((each) => String.fromCharCode(each.length) + each).join(""));
  const extensions = [
    ...extension(0, [0, names.length, ...names]),
    ...extension(16, [0, list.length, ...list]),
    ...extension(43, [2, 3, 4]),
  ];
  const body = [
    3,
    3,
    ...new Uint8Array(32),
    0,
    0,
    2,
    0x13,
    1,
    1,
    0,
    0,
    extensions.length,
    ...extensions,
  ];
  return Uint8Array.of(0x16, 3, 1, 0, body.length + 4, 1, 0, 0, body.length, ...body);
}

function extension(type: number, data: readonly number[]): readonly number[] {
  return [0, type, 0, data.length, ...data];
}

export const tlsHellos: FuzzTarget = {
  name: "tls hellos",
  corpus: {
    seeds: [
      hello("a.example", ["h2", "http/1.1"]),
      hello("b", ["heddle-peer", "istio"]),
      hello("", []),
    ],
    dictionary: ["\x16\x03\x01", "\x00\x00", "\x00\x10", "\x01\x00\x00", "\xff\xff", "\x02h2"].map(
      latin1,
    ),
  },
  check(bytes) {
    const all = Buffer.from(bytes);
    const whole = readClientHello(all);
    const cut = readClientHello(all.subarray(0, Math.floor(random() * all.length)));
    if (cut !== undefined && JSON.stringify(cut) !== JSON.stringify(whole)) {
      throw new Error(`more bytes turned ${JSON.stringify(cut)} into ${JSON.stringify(whole)}`);
    }
    const said = (whole?.serverName?.length ?? 0) + (whole?.alpn.join("").length ?? 0);
    if (said > bytes.length) throw new Error(`${said} bytes were read of ${bytes.length}`);
    return whole?.serverName !== undefined;
  },
};
