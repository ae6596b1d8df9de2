/**
 * Text ⇄ UTF-8 for the pure layers.
 *
 * TextEncoder and TextDecoder exist in every JavaScript runtime, but their types come with a platform's library,
 * which the pure layers do not see; they are declared here, once.
 */

declare const TextEncoder: new () => { encode(text: string): Uint8Array };
declare const TextDecoder: new (
  label: string,
  options: { readonly fatal: boolean; readonly ignoreBOM: boolean },
) => { decode(bytes: Uint8Array): string };

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function encodeUtf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Throws SyntaxError where the bytes are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    throw new SyntaxError("cannot decode text: bytes are not UTF-8");
  }
}
