/** DNS message from bytes. Throws SyntaxError on everything that is no message; never reads past the end. */

import { present } from "../../base/error.ts";
import { ipFromBytes } from "../../base/ip-bytes.ts";
import { type DnsMessage, type DnsQuestion, type DnsRecord, recordTypes } from "./message.ts";
import { decodeName } from "./name.ts";

export function decodeMessage(bytes: Uint8Array): DnsMessage {
  const reader = new Reader(bytes);
  const id = reader.u16();
  const flags = reader.u16();
  const counts = [reader.u16(), reader.u16(), reader.u16(), reader.u16()] as const;
  return {
    id,
    isResponse: (flags & 0x8000) !== 0,
    opcode: (flags >> 11) & 0xf,
    authoritative: (flags & 0x0400) !== 0,
    truncated: (flags & 0x0200) !== 0,
    recursionDesired: (flags & 0x0100) !== 0,
    recursionAvailable: (flags & 0x0080) !== 0,
    responseCode: flags & 0xf,
    questions: repeat(counts[0], () => readQuestion(reader)),
    answers: repeat(counts[1], () => readRecord(reader)),
    authorities: repeat(counts[2], () => readRecord(reader)),
    additionals: repeat(counts[3], () => readRecord(reader)),
  };
}

/**
 * The id of a message that is otherwise not readable, so that its sender can be told; undefined if even that is not.
 */
export function decodeId(bytes: Uint8Array): number | undefined {
  return bytes.length < 12 ? undefined : new Reader(bytes).u16();
}

function repeat<T>(count: number, read: () => T): readonly T[] {
  const items: T[] = [];
  for (let i = 0; i < count; i++) items.push(read()); // a false count ends in the reader's error
  return items;
}

function readQuestion(reader: Reader): DnsQuestion {
  return { name: reader.name(), type: reader.u16(), class: reader.u16() };
}

function readRecord(reader: Reader): DnsRecord {
  const name = reader.name();
  const type = reader.u16();
  const common = { name, class: reader.u16(), ttl: reader.u32() };
  const length = reader.u16();
  const end = reader.at + length;
  const record = readData(reader, type, length, common);
  if (reader.at !== end) {
    throw new SyntaxError(
      `cannot decode DNS record of type ${type}: its data is not ${length} bytes`,
    );
  }
  return record;
}

function readData(
  reader: Reader,
  type: number,
  length: number,
  common: { readonly name: string; readonly class: number; readonly ttl: number },
): DnsRecord {
  switch (type) {
    case recordTypes.A:
      return { ...common, kind: "A", address: reader.address(4) };
    case recordTypes.AAAA:
      return { ...common, kind: "AAAA", address: reader.address(16) };
    case recordTypes.NS:
      return { ...common, kind: "NS", target: reader.name() };
    case recordTypes.CNAME:
      return { ...common, kind: "CNAME", target: reader.name() };
    case recordTypes.PTR:
      return { ...common, kind: "PTR", target: reader.name() };
    case recordTypes.MX:
      return { ...common, kind: "MX", preference: reader.u16(), target: reader.name() };
    case recordTypes.SRV:
      return {
        ...common,
        kind: "SRV",
        priority: reader.u16(),
        weight: reader.u16(),
        port: reader.u16(),
        target: reader.name(),
      };
    case recordTypes.SOA:
      return {
        ...common,
        kind: "SOA",
        primary: reader.name(),
        mailbox: reader.name(),
        serial: reader.u32(),
        refresh: reader.u32(),
        retry: reader.u32(),
        expire: reader.u32(),
        minimum: reader.u32(),
      };
    default:
      return { ...common, kind: "other", type, bytes: reader.take(length) };
  }
}

class Reader {
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u16(): number {
    this.#need(2);
    this.at += 2;
    return this.#view.getUint16(this.at - 2);
  }

  u32(): number {
    this.#need(4);
    this.at += 4;
    return this.#view.getUint32(this.at - 4);
  }

  take(length: number): Uint8Array {
    this.#need(length);
    this.at += length;
    return this.#bytes.slice(this.at - length, this.at);
  }

  address(length: 4 | 16): string {
    return present(ipFromBytes(this.take(length)), "address");
  }

  name(): string {
    const { name, next } = decodeName(this.#bytes, this.at);
    this.at = next;
    return name;
  }

  #need(length: number): void {
    if (this.at + length > this.#bytes.length) {
      throw new SyntaxError("cannot decode DNS message: it ends too early");
    }
  }
}
