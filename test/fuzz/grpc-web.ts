/**
 * gRPC-Web's text: what is taken comes out the same however it is cut, and is what Node reads piece by piece; what is
 * refused is not what Node would write. And for every content type: what stands for it in an answer is read as the same.
 */

import { seededRandom } from "../../src/base/random.ts";
import { parseWebType, webTypeOf } from "../../src/wire/grpc/web.ts";
import { Base64Reader } from "../../src/wire/grpc/web-text.ts";
import type { FuzzTarget } from "./target.ts";

const latin1 = (text: string): Uint8Array => Buffer.from(text, "latin1");
const random = seededRandom(9);

export const grpcWebText: FuzzTarget = {
  name: "grpc web text",
  corpus: {
    seeds: ["AAAAAAQxMjM0", "YQ==YmM=ZGVm", "gAAAAA9ncnBjLXN0YXR1czogMA0K", "////++++"].map(latin1),
    dictionary: ["=", "==", "A", "AAAA", "YQ==", "\r\n", "application/grpc-web", "-text", "+"].map(
      latin1,
    ),
  },
  check(input) {
    const bytes = Buffer.from(input);
    checkType(bytes.toString("latin1"));
    const whole = read([bytes]);
    const cut = Math.floor(random() * (bytes.length + 1));
    if (read([bytes.subarray(0, cut), bytes.subarray(cut)]) !== whole) {
      throw new Error(`cut at ${cut} it is read differently`);
    }
    const byNode = readByNode(bytes.toString("latin1"));
    if (byNode !== whole) throw new Error(`Node reads ${byNode}, here ${whole}`);
    return whole !== undefined;
  },
};

function checkType(text: string): void {
  const form = parseWebType(text);
  if (form === undefined) return;
  const again = parseWebType(webTypeOf(form));
  if (again?.isText !== form.isText || again.codec !== form.codec) {
    throw new Error(`${text} is answered with ${webTypeOf(form)}`);
  }
}

function read(parts: readonly Buffer[]): string | undefined {
  const reader = new Base64Reader();
  let text = "";
  for (const part of parts) {
    const found = reader.read(part, 0, part.length);
    if (found === undefined) return undefined;
    text += Buffer.from(found).toString("latin1");
  }
  return reader.isWhole ? text : undefined;
}

/** Four characters at a time, which must be what Node writes for what it reads. */
function readByNode(text: string): string | undefined {
  let out = "";
  for (let at = 0; at < text.length; at += 4) {
    const piece = text.slice(at, at + 4);
    const bytes = Buffer.from(piece, "base64");
    if (bytes.length === 0 || bytes.toString("base64") !== piece) return undefined;
    out += bytes.toString("latin1");
  }
  return out;
}
