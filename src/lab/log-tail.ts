/** The end of a process's output, for the error that says why it did not come up. */

import { readFileSync } from "node:fs";

const mostBytes = 600;

export function logTail(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8").trim();
  } catch {
    return `nothing in ${file}`;
  }
  return text === "" ? `nothing in ${file}` : `${text.slice(-mostBytes)} (${file})`;
}
