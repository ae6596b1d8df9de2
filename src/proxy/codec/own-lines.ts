/** What answers of our own say of whoever made them, and when: an origin server with a clock does (RFC 9110 §6.6.1). */

import type { Environment } from "../environment.ts";

/** Complete lines, in HTTP/2's form. */
export function ownLines({ epochMs }: Environment): string {
  return `date: ${new Date(epochMs()).toUTCString()}\r\nserver: heddle\r\n`;
}
