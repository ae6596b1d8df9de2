/**
 * Domain names: labels on the wire, presentation text in memory (`cart.shop.svc.cluster.local`, no final dot).
 *
 * A byte that text cannot show, a dot or a backslash inside a label is escaped as RFC 1035 §5.1 says (`\.`, `\032`),
 * so that text and wire name each other exactly. Letters keep their case: a resolver may use it to recognise answers.
 */

const maxNameBytes = 255;
const maxLabelBytes = 63;

/** Labels of presentation text, each as bytes. Throws SyntaxError. The root is the empty text. */
export function parseLabels(name: string): readonly Uint8Array[] {
  const labels: Uint8Array[] = [];
  let label: number[] = [];
  let ended = true;
  const end = () => {
    if (label.length === 0 || label.length > maxLabelBytes) {
      throw new SyntaxError(`cannot encode domain name "${name}": labels have 1..63 bytes`);
    }
    labels.push(Uint8Array.from(label));
    label = [];
    ended = true;
  };
  for (let i = 0; i < name.length; i++) {
    let code = name.charCodeAt(i);
    if (code === 0x2e) {
      end();
      continue;
    }
    if (code === 0x5c) {
      const digits = name.slice(i + 1, i + 4);
      if (/^\d{3}$/.test(digits)) {
        code = Number(digits);
        i += 3;
      } else {
        i++;
        code = name.charCodeAt(i);
      }
    }
    if (!(code <= 255)) {
      throw new SyntaxError(
        `cannot encode domain name "${name}": want bytes, escaped where needed`,
      );
    }
    label.push(code);
    ended = false;
  }
  if (!ended) end();
  if (labels.reduce((sum, each) => sum + each.length + 1, 1) > maxNameBytes) {
    throw new SyntaxError(`cannot encode domain name "${name}": longer than 255 bytes`);
  }
  return labels;
}

export function renderLabel(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    if (byte === 0x2e || byte === 0x5c) text += `\\${String.fromCharCode(byte)}`;
    else if (byte > 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else text += `\\${String(byte).padStart(3, "0")}`;
  }
  return text;
}

/**
 * Reads a name that may end in a pointer to an earlier one (RFC 1035 §4.1.4). Pointers must point backwards, which
 * bounds the walk. Throws SyntaxError.
 */
export function decodeName(
  bytes: Uint8Array,
  start: number,
): { readonly name: string; readonly next: number } {
  const labels: string[] = [];
  let at = start;
  let limit = start;
  let next = -1;
  let length = 1;
  for (;;) {
    const size = bytes[at];
    if (size === undefined) throw new SyntaxError("cannot decode domain name: message ends in it");
    if (size === 0) {
      return { name: labels.join("."), next: next < 0 ? at + 1 : next };
    }
    if (size >= 0xc0) {
      const low = bytes[at + 1];
      if (low === undefined)
        throw new SyntaxError("cannot decode domain name: message ends in a pointer");
      if (next < 0) next = at + 2;
      at = ((size & 0x3f) << 8) | low;
      if (at >= limit)
        throw new SyntaxError("cannot decode domain name: pointer does not point backwards");
      limit = at;
      continue;
    }
    if (size > maxLabelBytes)
      throw new SyntaxError(`cannot decode domain name: label type ${size >> 6}`);
    const label = bytes.subarray(at + 1, at + 1 + size);
    if (label.length < size) throw new SyntaxError("cannot decode domain name: message ends in it");
    length += size + 1;
    if (length > maxNameBytes)
      throw new SyntaxError("cannot decode domain name: longer than 255 bytes");
    labels.push(renderLabel(label));
    at += 1 + size;
  }
}
