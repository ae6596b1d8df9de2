/**
 * Protobuf's wire format, driven by tables: as much of it as xDS needs.
 *
 * A message is a plain object whose absent fields are absent properties; members of a oneof are optional fields of
 * which at most one is set; unknown fields are skipped when read. 64-bit integers travel as safe integers (xDS only
 * has them in durations). Output is deterministic: fields in the order of their table, maps in the order of their
 * keys in the object; equal values give equal bytes, which the resource versions rely on.
 *
 * Not here: what the messages are (gen/messages.ts, generated), and why no general library reads them (docs/adr/0002).
 */

import { MeshError } from "../../base/error.ts";
import { Reader } from "./protobuf-reader.ts";
import { Writer } from "./protobuf-writer.ts";

export type Kind =
  | "string"
  | "bytes"
  | "bool"
  | "uint32"
  | "int32"
  | "int64"
  | "uint64"
  | "double"
  | "enum"
  | "message";

/**
 * How often a field occurs. `plain` is proto3's implicit presence (the default value is not written), `optional` has
 * presence (messages and members of a oneof).
 */
export type Rule = "plain" | "optional" | "many" | "map";

export type Field = readonly [
  number: number,
  name: string,
  kind: Kind,
  rule: Rule,
  sub?: () => MessageType<object>,
];

export interface MessageType<T extends object> {
  readonly typeName: string;
  readonly fields: readonly Field[];
  readonly byNumber: ReadonlyMap<number, Field>;
  /** Never set: carries the type of the message's values. */
  readonly valueType?: T;
}

export function message<T extends object>(
  typeName: string,
  fields: readonly Field[],
): MessageType<T> {
  return { typeName, fields, byNumber: new Map(fields.map((field) => [field[0], field])) };
}

export function encodeMessage<T extends object>(type: MessageType<T>, value: T): Uint8Array {
  const writer = new Writer();
  writeMessage(writer, type, value);
  return writer.finish();
}

/** Throws MeshError `xds.malformed` naming the message and field that the bytes broke off in. */
export function decodeMessage<T extends object>(type: MessageType<T>, bytes: Uint8Array): T {
  // The tables are generated together with the types, so what they decode is of that type.
  return readMessage(new Reader(bytes), type, bytes.length, 0) as T;
}

// Wire types, protobuf's "Encoding" page.
const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;

/** Deeper than any policy nests; keeps a hostile message from exhausting the stack. */
const maxDepth = 64;

type Values = Readonly<Record<string, unknown>>;

function writeMessage(writer: Writer, type: MessageType<object>, value: object): void {
  const values = value as Values;
  for (const field of type.fields) {
    const content = values[field[1]];
    if (content === undefined) continue;
    switch (field[3]) {
      case "plain":
        if (!isDefault(content)) writeField(writer, field, content);
        break;
      case "optional":
        writeField(writer, field, content);
        break;
      case "many":
        writeMany(writer, field, content as readonly unknown[]);
        break;
      case "map":
        writeMap(writer, field, content as Values);
        break;
    }
  }
}

function isDefault(content: unknown): boolean {
  return (
    content === "" ||
    content === 0 ||
    content === false ||
    (content instanceof Uint8Array && content.length === 0)
  );
}

function writeField(writer: Writer, field: Field, content: unknown): void {
  const [number, , kind, , sub] = field;
  switch (kind) {
    case "string":
      writer.tag(number, LENGTH_DELIMITED);
      writer.string(content as string);
      break;
    case "bytes":
      writer.tag(number, LENGTH_DELIMITED);
      writer.bytes(content as Uint8Array);
      break;
    case "double":
      writer.tag(number, FIXED64);
      writer.double(content as number);
      break;
    case "message":
      writer.tag(number, LENGTH_DELIMITED);
      writer.nested(() => writeMessage(writer, subType(field, sub), content as object));
      break;
    default:
      writer.tag(number, VARINT);
      writer.varint(Number(content));
  }
}

function writeMany(writer: Writer, field: Field, items: readonly unknown[]): void {
  const kind = field[2];
  if (kind === "string" || kind === "bytes" || kind === "message") {
    for (const item of items) writeField(writer, field, item);
    return;
  }
  if (items.length === 0) return;
  writer.tag(field[0], LENGTH_DELIMITED);
  writer.nested(() => {
    for (const item of items) {
      if (kind === "double") writer.double(item as number);
      else writer.varint(Number(item));
    }
  });
}

/** A map travels as a list of entries: key 1 (always a string in xDS), value 2. */
function writeMap(writer: Writer, field: Field, entries: Values): void {
  const value: Field = [2, "value", field[2], "optional", ...subOf(field)];
  for (const [key, content] of Object.entries(entries)) {
    if (content === undefined) continue;
    writer.tag(field[0], LENGTH_DELIMITED);
    writer.nested(() => {
      writer.tag(1, LENGTH_DELIMITED);
      writer.string(key);
      writeField(writer, value, content);
    });
  }
}

function readMessage(
  reader: Reader,
  type: MessageType<object>,
  end: number,
  depth: number,
): Record<string, unknown> {
  if (depth > maxDepth) throw malformed(type, "nested too deeply");
  const values: Record<string, unknown> = {};
  try {
    while (reader.position < end) {
      const tag = reader.varint();
      const field = type.byNumber.get(Math.floor(tag / 8));
      if (field === undefined) reader.skip(tag % 8);
      else readInto(values, reader, field, tag % 8, depth);
    }
  } catch (error) {
    if (error instanceof RangeError) throw malformed(type, error.message);
    throw error;
  }
  if (reader.position !== end) throw malformed(type, "a field runs past the message's end");
  return values;
}

function readInto(
  values: Record<string, unknown>,
  reader: Reader,
  field: Field,
  wireType: number,
  depth: number,
): void {
  const [, name, kind, rule] = field;
  if (rule === "map") {
    const [key, value] = readEntry(reader, field, depth);
    const entries = (values[name] ?? {}) as Record<string, unknown>;
    Object.defineProperty(entries, key, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
    values[name] = entries;
    return;
  }
  if (rule === "plain" || rule === "optional") {
    const value = readValue(reader, field, wireType, depth);
    // Implicit presence: a default that is written all the same is as good as none, also behind another value.
    if (rule === "plain" && isDefault(value)) delete values[name];
    else values[name] = value;
    return;
  }
  const items = (values[name] ?? []) as unknown[];
  values[name] = items;
  if (wireType === LENGTH_DELIMITED && wireTypeOf(kind) !== LENGTH_DELIMITED) {
    const end = reader.lengthDelimited();
    while (reader.position < end) items.push(readValue(reader, field, wireTypeOf(kind), depth));
    if (reader.position !== end) throw new RangeError(`${name} runs past its end`);
  } else {
    items.push(readValue(reader, field, wireType, depth));
  }
}

function readValue(reader: Reader, field: Field, wireType: number, depth: number): unknown {
  const [, name, kind, , sub] = field;
  if (wireType !== wireTypeOf(kind)) {
    throw new RangeError(`${name} has wire type ${wireType}, want ${wireTypeOf(kind)}`);
  }
  switch (kind) {
    case "string":
      return reader.string();
    case "bytes":
      return reader.bytes();
    case "bool":
      return reader.varint() !== 0;
    case "double":
      return reader.double();
    case "message":
      return readMessage(reader, subType(field, sub), reader.lengthDelimited(), depth + 1);
    case "uint32":
    case "uint64":
      return reader.varint();
    default:
      return reader.signedVarint();
  }
}

function readEntry(reader: Reader, field: Field, depth: number): [string, unknown] {
  const value: Field = [2, field[1], field[2], "optional", ...subOf(field)];
  const end = reader.lengthDelimited();
  let key = "";
  let content: unknown = field[2] === "message" ? {} : defaultOf(field[2]);
  while (reader.position < end) {
    const tag = reader.varint();
    if (tag === 8 * 1 + LENGTH_DELIMITED) key = reader.string();
    else if (Math.floor(tag / 8) === 2) content = readValue(reader, value, tag % 8, depth);
    else reader.skip(tag % 8);
  }
  if (reader.position !== end) throw new RangeError(`an entry of ${field[1]} runs past its end`);
  return [key, content];
}

function defaultOf(kind: Kind): unknown {
  if (kind === "string") return "";
  if (kind === "bytes") return new Uint8Array();
  return kind === "bool" ? false : 0;
}

function wireTypeOf(kind: Kind): number {
  if (kind === "double") return FIXED64;
  return kind === "string" || kind === "bytes" || kind === "message" ? LENGTH_DELIMITED : VARINT;
}

function subOf(field: Field): [] | [() => MessageType<object>] {
  return field[4] === undefined ? [] : [field[4]];
}

function subType(field: Field, sub: Field[4]): MessageType<object> {
  if (sub === undefined) throw new MeshError("xds.table", `field ${field[1]} has no message type`);
  return sub();
}

function malformed(type: MessageType<object>, why: string): MeshError {
  return new MeshError("xds.malformed", `decode ${type.typeName}: ${why}`, { fault: "peer" });
}
