/**
 * gRPC-Web (gRPC's PROTOCOL-WEB document): which content types mean it, and how trailers stand in a body.
 *
 * Its messages are framed as gRPC's. Trailers are one more frame, the last, with the highest bit of its flag set and
 * lines of HTTP/1.1 in it. As text all of that is base64 (web-text.ts).
 */

export interface WebForm {
  /** In base64. */
  readonly isText: boolean;
  /** How messages are written: `proto` where it is not said. */
  readonly codec: string;
}

const webType = /^\s*application\/grpc-web(-text(?:-base64)?)?(?:\+([\w.-]+))?\s*(?:;|$)/i;

/** What a content type, or a type that is accepted, says; undefined: it is not gRPC-Web. */
export function parseWebType(value: string): WebForm | undefined {
  const found = webType.exec(value);
  if (found === null) return undefined;
  return { isText: found[1] !== undefined, codec: found[2]?.toLowerCase() ?? "proto" };
}

/** The form of the answer: the first that is accepted by name, else the request's. */
export function answerForm(request: WebForm, accept: string | undefined): WebForm {
  for (const type of accept?.split(",") ?? []) {
    const form = parseWebType(type);
    if (form !== undefined) return { isText: form.isText, codec: request.codec };
  }
  return request;
}

/** The content type of the same call in gRPC. */
export function grpcTypeOf({ codec }: WebForm): string {
  return codec === "proto" ? "application/grpc" : `application/grpc+${codec}`;
}

export function webTypeOf({ isText, codec }: WebForm): string {
  return `application/grpc-web${isText ? "-text" : ""}+${codec}`;
}

const TRAILERS = 0x80;
const prefixBytes = 5;

/** The last frame of a body. `lines`: in HTTP/2's form, each with its line end. */
export function encodeTrailers(lines: string): Uint8Array {
  const frame = new Uint8Array(prefixBytes + lines.length);
  frame[0] = TRAILERS;
  new DataView(frame.buffer).setUint32(1, lines.length);
  for (let i = 0; i < lines.length; i++) frame[prefixBytes + i] = lines.charCodeAt(i);
  return frame;
}
