/**
 * Header edits compiled for the codec: names to take out, lines to put in. Set is "take out, then put in".
 *
 * Framing is the codec's: an edit that names a field of it does nothing there, whoever wrote it. Nor can one pass a
 * request off as a health check.
 */

import { healthCheckField } from "../../model/names.ts";
import type { HeaderEdit } from "../../model/proxy-config.ts";
import type { RequestRecord } from "../stack/request-record.ts";
import { compileFormat } from "./header-format.ts";

type MakeLines = (exchange: RequestRecord) => string;
type BeginLines = (exchange: RequestRecord) => () => string;

export interface CompiledEdit {
  /** Lower case. */
  readonly dropped: ReadonlySet<string>;
  /** Complete lines, each with its CRLF, in the form that HTTP/2 takes, too. */
  readonly lines: string;
  /** Lines that each request makes anew; undefined: none. */
  readonly formatted?: MakeLines;
  /** The same of those that say something of the answer: begun with the request, completed when there is one. */
  readonly formattedLate?: BeginLines;
  /** `:authority` or Host, when the edit sets it. */
  readonly authority: string | undefined;
}

/** One edit out of several, in order: the route's, then the chosen cluster's. Undefined when there is nothing to do. */
export function compileEdits(edits: readonly (HeaderEdit | undefined)[]): CompiledEdit | undefined {
  const dropped = new Set<string>();
  let lines: { readonly name: string; readonly value: string }[] = [];
  let authority: string | undefined;
  const put = (name: string, value: string) => {
    const lower = name.toLowerCase();
    if (!ofFraming.has(lower) && lower !== healthCheckField) lines.push({ name, value });
  };
  const take = (name: string) => {
    dropped.add(name.toLowerCase());
    lines = lines.filter((line) => line.name.toLowerCase() !== name.toLowerCase());
  };
  for (const edit of edits) {
    if (edit === undefined) continue;
    for (const name of edit.remove) take(name);
    for (const [name, value] of edit.set) {
      if (isAuthority(name)) authority = value;
      else {
        take(name);
        put(name, value);
      }
    }
    for (const [name, value] of edit.add) {
      if (isAuthority(name)) authority = value;
      else put(name, value);
    }
  }
  dropped.delete("host");
  for (const needed of ofFraming) dropped.delete(needed);
  const isEmpty = dropped.size === 0 && lines.length === 0 && authority === undefined;
  if (isEmpty) return undefined;
  let text = "";
  const formatted: MakeLines[] = [];
  const late: BeginLines[] = [];
  for (const { name, value } of lines) {
    const lower = name.toLowerCase();
    const format = compileFormat(value);
    if (typeof format === "string") text += `${lower}: ${printable(format)}\r\n`;
    else {
      const line = (made: string) =>
        printable(made) === "" ? "" : `${lower}: ${printable(made)}\r\n`;
      if (format.kind === "of-request") formatted.push((exchange) => line(format.say(exchange)));
      else {
        late.push((exchange) => {
          const complete = format.begin(exchange);
          return () => line(complete());
        });
      }
    }
  }
  return {
    dropped,
    lines: text,
    ...(formatted.length === 0 ? {} : { formatted: together(formatted) }),
    ...(late.length === 0 ? {} : { formattedLate: begunTogether(late) }),
    authority,
  };
}

function together(all: readonly MakeLines[]): MakeLines {
  return (exchange) => all.map((line) => line(exchange)).join("");
}

function begunTogether(all: readonly BeginLines[]): BeginLines {
  return (exchange) => {
    const begun = all.map((begin) => begin(exchange));
    return () => begun.map((complete) => complete()).join("");
  };
}

/** Its lines for this request, as far as they are about that. */
export function earlyLines({ lines, formatted }: CompiledEdit, exchange: RequestRecord): string {
  return formatted === undefined ? lines : lines + formatted(exchange);
}

/** All of them, for a head that is written now. */
export function linesFor(edit: CompiledEdit, exchange: RequestRecord): string {
  return earlyLines(edit, exchange) + (edit.formattedLate?.(exchange)() ?? "");
}

/** Whoever could change these could make the next hop read another message. */
const ofFraming: ReadonlySet<string> = new Set([
  "content-length",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "upgrade",
]);

function isAuthority(name: string): boolean {
  return name === ":authority" || name.toLowerCase() === "host";
}

/** A configured value must not end its line, nor be one that HTTP/2 does not take. */
function printable(value: string): string {
  return value.replace(/\p{Cc}/gu, " ").trim();
}
