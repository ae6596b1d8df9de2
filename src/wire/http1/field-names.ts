/**
 * Recognises field names while a head is read, so that nobody has to look for them afterwards.
 *
 * A name that is watched gets its mark (a small number) in the slot of each field that carries it. Names are looked up
 * by length first: nearly every other name is dismissed by one array access.
 *
 * A watched name spelled with `_` for `-` is recognised too, as a disguise: applications behind CGI-like interfaces
 * take `X_Forwarded_For` for `X-Forwarded-For`, so whoever decides about the one must decide about the other.
 */

/** The fields that this layer itself must understand, in the order of their marks. */
export const coreFields: readonly string[] = [
  "host",
  "content-length",
  "transfer-encoding",
  "connection",
  "upgrade",
  "expect",
  "te",
  "keep-alive",
  "proxy-connection",
  "", // no name: its mark is that of disguised ones
  "", // and of those that Connection names
];

/** Marks of `coreFields`; 0 is "not watched". A parser's own names follow from `firstOwnMark`. */
export const mark = {
  none: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  upgrade: 5,
  expect: 6,
  te: 7,
  keepAlive: 8,
  proxyConnection: 9,
  /** A watched name with `_` in the place of `-`. */
  disguised: 10,
  /** Named by Connection, and so about the connection alone (RFC 9110 §7.6.1), whatever it is called. */
  nominated: 11,
} as const;
export const firstOwnMark: number = mark.nominated + 1;

const HYPHEN = 45;
const UNDERSCORE = 95;

interface Watched {
  readonly mark: number;
  readonly codes: Uint8Array;
}

export class FieldNames {
  readonly count: number;
  readonly #byLength: (readonly Watched[] | undefined)[] = [];

  /** Watches the core fields and `own` (lower case), whose marks are `firstOwnMark`, `firstOwnMark + 1`, … */
  constructor(own: readonly string[] = []) {
    const names: readonly (readonly [name: string, mark: number])[] = [
      ...coreFields.map((name, index) => [name, index + 1] as const),
      ...own.map((name, index) => [name, firstOwnMark + index] as const),
    ];
    this.count = firstOwnMark + own.length;
    const longest = Math.max(...names.map(([name]) => name.length));
    for (let length = 0; length <= longest; length++) {
      const watched = names.flatMap(([name, mark]) =>
        name.length === length
          ? [{ mark, codes: Uint8Array.from(name, (c) => c.charCodeAt(0)) }]
          : [],
      );
      this.#byLength.push(watched.length > 0 ? watched : undefined);
    }
  }

  /** The mark of the name at `bytes[start, end)`, case ignored; 0 when it is not watched. */
  markOf(bytes: Uint8Array, start: number, end: number): number {
    const candidates = this.#byLength[end - start];
    if (candidates === undefined) return 0;
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i];
      const found = candidate === undefined ? mark.none : markAs(candidate, bytes, start);
      if (found !== mark.none) return found;
    }
    return mark.none;
  }
}

/** What the bytes are, so long as the name: its mark, that of disguised ones, or none. */
function markAs(watched: Watched, bytes: Uint8Array, start: number): number {
  const { codes } = watched;
  let found = watched.mark;
  for (let i = 0; i < codes.length; i++) {
    let byte = bytes[start + i] ?? 0;
    if (byte >= 65 && byte <= 90) byte += 32;
    else if (byte === UNDERSCORE) {
      byte = HYPHEN;
      found = mark.disguised;
    }
    if (byte !== codes[i]) return mark.none;
  }
  return found;
}

/** ASCII capitals made small. */
export function loweredText(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let at = start; at < end; at++) text += String.fromCharCode(lowered(bytes[at] ?? 0));
  return text;
}

function lowered(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte + 32 : byte;
}

/** Whether the bytes from `start` are `lower`, ASCII case ignored. The range must be known to be long enough. */
export function equalsFolded(bytes: Uint8Array, start: number, lower: Uint8Array): boolean {
  for (let i = 0; i < lower.length; i++) {
    let byte = bytes[start + i] ?? 0;
    if (byte >= 65 && byte <= 90) byte += 32;
    if (byte !== lower[i]) return false;
  }
  return true;
}
