/** What somebody may have meant by a word that means nothing: the end of an error's sentence. */

import { nearest } from "../../api/validate/nearest.ts";

const most = 8; // a sentence, not a listing

/** `; did you mean cart?`, or where nothing is similar `; there are cart, web …`. */
export function meant(word: string, names: readonly string[]): string {
  const distinct = [...new Set(names)].sort();
  const similar = nearest(word, distinct, 3);
  if (similar.length > 0) return `; did you mean ${similar.join(", ")}?`;
  if (distinct.length === 0) return "; there are none";
  const more = distinct.length > most ? " …" : "";
  return `; there are ${distinct.slice(0, most).join(", ")}${more}`;
}
