/**
 * DNS message to bytes, with names compressed, within a size.
 *
 * What does not fit is left out whole and the truncated bit set, so that the asker comes back over TCP (RFC 2181 §9);
 * additional records are a courtesy and are left out without the bit.
 */

import { unreachable } from "../../base/error.ts";
import { ipBytes } from "../../base/ip-bytes.ts";
import { type DnsMessage, type DnsRecord, recordTypes } from "./message.ts";
import { parseLabels } from "./name.ts";

export function encodeMessage(message: DnsMessage, maxBytes = 65_535): Uint8Array {
  const writer = new Writer();
  writer.u16(message.id);
  writer.u16(0); // flags and counts are known when the rest is written
  for (let i = 0; i < 4; i++) writer.u16(0);
  for (const question of message.questions) {
    writer.name(question.name);
    writer.u16(question.type);
    writer.u16(question.class);
  }
  // Room for the OPT record is kept: a truncated answer still says what the server can take.
  const opt = message.additionals.filter((record) => typeOf(record) === recordTypes.OPT);
  const limit = maxBytes - opt.reduce((sum, record) => sum + optBytes(record), 0);
  const answers = writer.records(message.answers, limit);
  const authorities =
    answers < message.answers.length ? 0 : writer.records(message.authorities, limit);
  const truncated = answers < message.answers.length || authorities < message.authorities.length;
  const others = truncated
    ? 0
    : writer.records(
        message.additionals.filter((record) => !opt.includes(record)),
        limit,
      );
  const options = writer.records(opt, maxBytes);
  writer.patch(2, flagsOf(message, truncated));
  writer.patch(4, message.questions.length);
  writer.patch(6, answers);
  writer.patch(8, authorities);
  writer.patch(10, others + options);
  return writer.bytes();
}

function flagsOf(message: DnsMessage, truncated: boolean): number {
  return (
    (message.isResponse ? 0x8000 : 0) |
    ((message.opcode & 0xf) << 11) |
    (message.authoritative ? 0x0400 : 0) |
    (message.truncated || truncated ? 0x0200 : 0) |
    (message.recursionDesired ? 0x0100 : 0) |
    (message.recursionAvailable ? 0x0080 : 0) |
    (message.responseCode & 0xf)
  );
}

/** An OPT record has the root as name: 1 + 2 + 2 + 4 + 2 bytes and its data. */
function optBytes(record: DnsRecord): number {
  return 11 + (record.kind === "other" ? record.bytes.length : 0);
}

function typeOf(record: DnsRecord): number {
  return record.kind === "other" ? record.type : recordTypes[record.kind];
}

class Writer {
  #bytes: number[] = [];
  /** Where each name that was written begins, for compression; offsets above 0x3fff cannot be pointed to. */
  #offsets = new Map<string, number>();

  u16(value: number): void {
    this.#bytes.push((value >> 8) & 255, value & 255);
  }

  u32(value: number): void {
    this.#bytes.push((value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
  }

  patch(at: number, value: number): void {
    this.#bytes[at] = (value >> 8) & 255;
    this.#bytes[at + 1] = value & 255;
  }

  name(name: string, compress = true): void {
    const labels = parseLabels(name);
    for (let i = 0; i < labels.length; i++) {
      const rest = labels
        .slice(i)
        .map((label) => label.join(","))
        .join(".");
      const known = this.#offsets.get(rest);
      if (compress && known !== undefined) {
        this.u16(0xc000 | known);
        return;
      }
      if (known === undefined && this.#bytes.length <= 0x3fff) {
        this.#offsets.set(rest, this.#bytes.length);
      }
      const label = labels[i] ?? [];
      this.#bytes.push(label.length, ...label);
    }
    this.#bytes.push(0);
  }

  /** Writes records while they fit; returns how many did. */
  records(records: readonly DnsRecord[], limit: number): number {
    let count = 0;
    for (const record of records) {
      const start = this.#bytes.length;
      this.#record(record);
      if (this.#bytes.length > limit) {
        this.#bytes.length = start;
        for (const [name, offset] of this.#offsets) {
          if (offset >= start) this.#offsets.delete(name);
        }
        break;
      }
      count++;
    }
    return count;
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  #record(record: DnsRecord): void {
    this.name(record.name);
    this.u16(typeOf(record));
    this.u16(record.class);
    this.u32(record.ttl);
    const lengthAt = this.#bytes.length;
    this.u16(0);
    this.#data(record);
    this.patch(lengthAt, this.#bytes.length - lengthAt - 2);
  }

  #data(record: DnsRecord): void {
    switch (record.kind) {
      case "A":
      case "AAAA":
        this.#bytes.push(...ipBytes(record.address));
        return;
      case "NS":
      case "CNAME":
      case "PTR":
        this.name(record.target);
        return;
      case "MX":
        this.u16(record.preference);
        this.name(record.target);
        return;
      case "SRV":
        this.u16(record.priority);
        this.u16(record.weight);
        this.u16(record.port);
        this.name(record.target, false); // RFC 2782: the target is never compressed
        return;
      case "SOA":
        this.name(record.primary);
        this.name(record.mailbox);
        this.u32(record.serial);
        this.u32(record.refresh);
        this.u32(record.retry);
        this.u32(record.expire);
        this.u32(record.minimum);
        return;
      case "other":
        this.#bytes.push(...record.bytes);
        return;
      default:
        unreachable(record);
    }
  }
}
