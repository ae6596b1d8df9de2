/**
 * The conversation between the CNI executable and the agent, one per connection.
 *
 * Request: `heddle-cni 1\n`, then each environment variable as `KEY=VALUE\0`, one more `\0`, then standard input up to
 * the end of the stream. Reply: `<exit code>\n`, then standard output up to the end. The executable only moves bytes,
 * so that it is small enough to start in a millisecond; all meaning is in the agent.
 *
 * Not here: what the variables mean (request.ts).
 */

import { decodeUtf8, encodeUtf8 } from "../../base/utf8.ts";

const greeting = "heddle-cni 1\n";

/** What the runtime called the executable with. */
export interface CniInvocation {
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
}

export interface CniReply {
  readonly exitCode: number;
  readonly stdout: string;
}

export function encodeInvocation(invocation: CniInvocation): Uint8Array {
  const variables = Object.entries(invocation.env).map(([key, value]) => `${key}=${value}\0`);
  return encodeUtf8(`${greeting}${variables.join("")}\0${invocation.stdin}`);
}

/** Throws SyntaxError saying what of the frame is wrong. */
export function decodeInvocation(bytes: Uint8Array): CniInvocation {
  const text = decodeUtf8(bytes);
  if (!text.startsWith(greeting)) {
    throw new SyntaxError(`cannot decode CNI request: want it to begin with "heddle-cni 1"`);
  }
  const env: Record<string, string> = Object.create(null);
  let at = greeting.length;
  for (;;) {
    const end = text.indexOf("\0", at);
    if (end < 0) throw new SyntaxError("cannot decode CNI request: the environment has no end");
    if (end === at) return { env, stdin: text.slice(at + 1) };
    const pair = text.slice(at, end);
    const equals = pair.indexOf("=");
    if (equals < 1) {
      throw new SyntaxError(`cannot decode CNI request: want KEY=VALUE, got "${pair}"`);
    }
    env[pair.slice(0, equals)] = pair.slice(equals + 1);
    at = end + 1;
  }
}

export function encodeReply(reply: CniReply): Uint8Array {
  return encodeUtf8(`${reply.exitCode}\n${reply.stdout}`);
}

export function decodeReply(bytes: Uint8Array): CniReply {
  const text = decodeUtf8(bytes);
  const newline = text.indexOf("\n");
  const code = text.slice(0, Math.max(newline, 0));
  if (!/^\d{1,3}$/.test(code)) {
    throw new SyntaxError("cannot decode CNI reply: want it to begin with an exit code");
  }
  return { exitCode: Number(code), stdout: text.slice(newline + 1) };
}
