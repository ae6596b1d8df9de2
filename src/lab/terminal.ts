/** The terminal a command runs on, as values that tests can replace. */

export interface Terminal {
  /** A line of progress or of an answer. */
  line(text: string): void;
  write(text: string): void;
  readonly isTty: boolean;
  readonly columns: () => number;
}

export const systemTerminal: Terminal = {
  line: (text) => void process.stdout.write(`${text}\n`),
  write: (text) => void process.stdout.write(text),
  isTty: process.stdout.isTTY === true,
  columns: () => process.stdout.columns ?? 120,
};
