/** Which bytes may stand where in an HTTP/1.1 head (RFC 9110 §5.6.2, §5.5; RFC 9112 §3), as tables indexed by byte. */

function table(allows: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (allows(byte) ? 1 : 0));
}

const tokenPunctuation = "!#$%&'*+-.^_`|~";

function isAlphanumeric(byte: number): boolean {
  return (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122);
}

/** tchar: methods and field names. */
export const tokenByte: Uint8Array = table(
  (byte) => isAlphanumeric(byte) || tokenPunctuation.includes(String.fromCharCode(byte)),
);

/** field-vchar, obs-text and inner white space: field values and reason phrases. Control bytes never. */
export const valueByte: Uint8Array = table(
  (byte) => byte === 9 || (byte >= 32 && byte <= 126) || byte >= 128,
);

/**
 * The request target: visible ASCII; and bytes above it, which deployed clients send unescaped. No `#`: RFC 9112 §3.2.
 */
export const targetByte: Uint8Array = table(
  (byte) => (byte > 32 && byte < 127 && byte !== 35) || byte >= 128,
);

/** A host's name or IPv4 address (RFC 3986 §3.2.2: unreserved, sub-delims, %), without the comma. */
export const hostByte: Uint8Array = table(
  (byte) => isAlphanumeric(byte) || "-._~!$&'()*+;=%".includes(String.fromCharCode(byte)),
);

/** Between a host's brackets: an IPv6 address, or one of a future version. */
export const inBrackets: Uint8Array = table(
  (byte) => byte === 58 || (hostByte[byte] === 1 && byte !== 37),
);

/** Value of a hexadecimal digit, 255 for anything else. */
export const hexValue: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte >= 48 && byte <= 57) return byte - 48;
  if (byte >= 65 && byte <= 70) return byte - 55;
  if (byte >= 97 && byte <= 102) return byte - 87;
  return 255;
});

export const CR = 13;
export const LF = 10;
export const SP = 32;
export const TAB = 9;
export const COLON = 58;
