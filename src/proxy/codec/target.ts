/**
 * The request target: what of it is path, and one spelling for each path.
 *
 * Policies and routes must judge the very path that the application will act on, so what can be written in several ways
 * is written in one before anybody looks at it, and goes on that way (Istio's BASE normalisation: dot segments
 * resolved, backslashes turned, unreserved characters unescaped), and bytes that may not stand in a target are escaped.
 * Nearly every path has nothing to change and is recognised by its bytes.
 */

import { isValidHost } from "../../wire/http1/field-values.ts";

export interface Target {
  readonly path: string;
  /** With its question mark; empty when there is none. */
  readonly query: string;
  /** From an absolute-form target (RFC 9112 §3.2.2), which outranks Host. */
  readonly authority: string | undefined;
}

/**
 * Undefined when the target is no path, or not one for this method: `*` is for OPTIONS (RFC 9112 §3.2.4), and CONNECT
 * has no path at all: whatever a server takes one for, its 2xx would turn the connection into a tunnel behind our back.
 */
export function parseTarget(text: string, method: string): Target | undefined {
  if (method === "CONNECT") return undefined;
  if (text.charCodeAt(0) === 47) return originForm(text, undefined);
  if (text === "*") {
    return method === "OPTIONS" ? { path: "*", query: "", authority: undefined } : undefined;
  }
  const absolute = /^https?:\/\/([^/?]+)((?:[/?].*)?)$/i.exec(text);
  // The authority goes on as Host, and must be one.
  if (absolute === null || !isHostText(absolute[1] ?? "")) return undefined;
  const rest = absolute[2] ?? "";
  // RFC 9112 §3.2.4: it is about the server, and not about its root.
  if (rest === "" && method === "OPTIONS") return { path: "*", query: "", authority: absolute[1] };
  return originForm(rest.startsWith("/") ? rest : `/${rest}`, absolute[1]);
}

function isHostText(text: string): boolean {
  const bytes = Buffer.from(text, "latin1");
  return isValidHost(bytes, 0, bytes.length);
}

function originForm(text: string, authority: string | undefined): Target | undefined {
  const question = text.indexOf("?");
  const raw = question < 0 ? text : text.slice(0, question);
  const path = normalizePath(raw);
  if (path === undefined) return undefined;
  return { path, query: question < 0 ? "" : escapeBytes(text.slice(question)), authority };
}

/** Bytes above ASCII, which some clients send as they are and some servers refuse. */
function escapeBytes(text: string): string {
  return text.replace(
    /[\x80-\xff]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

const BACKSLASH = 92;
const DOT = 46;
const PERCENT = 37;
const SLASH = 47;

/**
 * Nothing in it can be written in another way: neither `\` nor `%`, no byte above ASCII, no segment that begins with a
 * dot.
 */
function isPlain(path: string): boolean {
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    if (code === DOT ? path.charCodeAt(i - 1) === SLASH : code === PERCENT || code === BACKSLASH) {
      return false;
    }
    if (code >= 0x80) return false;
  }
  return true;
}

/** Undefined when the path climbs above the root, or escapes a byte wrongly. */
export function normalizePath(raw: string): string | undefined {
  if (isPlain(raw)) return raw;
  if (/%(?![0-9a-fA-F]{2})/.test(raw) || /%00/.test(raw)) return undefined;
  const plain = escapeBytes(raw)
    .replaceAll("\\", "/")
    .replace(/%([0-9a-fA-F]{2})/g, (escaped, digits: string) => {
      const character = String.fromCharCode(Number.parseInt(digits, 16));
      if (/[A-Za-z0-9._~-]/.test(character)) return character;
      // RFC 3986 §6.2.2.1: escapes are the same in both cases; one is written.
      return character === "\\" ? "%5C" : escaped.toUpperCase();
    });
  const segments: string[] = [];
  const parts = plain.split("/").slice(1);
  for (const [index, part] of parts.entries()) {
    const isLast = index === parts.length - 1;
    if (part === "..") {
      if (segments.pop() === undefined) return undefined;
      if (isLast) segments.push("");
    } else if (part === ".") {
      if (isLast) segments.push("");
    } else segments.push(part);
  }
  return `/${segments.join("/")}`;
}
