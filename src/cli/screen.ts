/**
 * Text that is drawn again and again: in place on a terminal, one below the other elsewhere (a pipe, a log).
 *
 * On a terminal the cursor goes up over what was drawn last and everything below is cleared, so that the scrollback
 * stays as it was.
 */

export interface Terminal {
  readonly isTty: boolean;
  readonly columns: () => number;
  readonly write: (text: string) => void;
}

export class Screen {
  readonly #terminal: Terminal;
  #drawn = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  get isTty(): boolean {
    return this.#terminal.isTty;
  }

  draw(lines: readonly string[]): void {
    const { isTty, columns, write } = this.#terminal;
    if (!isTty) {
      write(`\n${lines.join("\n")}\n`);
      return;
    }
    const all = ["", ...lines].map((line) => line.slice(0, columns() - 1));
    write(`${this.#drawn > 0 ? `\x1b[${this.#drawn}A` : ""}\x1b[J${all.join("\n")}\n`);
    this.#drawn = all.length;
  }
}

export const standardOutput: Terminal = {
  isTty: process.stdout.isTTY === true,
  columns: () => process.stdout.columns ?? 120,
  write: (text) => void process.stdout.write(text),
};
