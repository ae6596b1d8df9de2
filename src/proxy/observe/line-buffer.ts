/**
 * Lines of access logs on their way to files: written many at a time, for a write costs more than the request did.
 *
 * They wait half a second at most, and never more than `mostBytes` of one file. Whoever ends the process flushes.
 */

const gatherMs = 500;
const mostBytes = 64 * 1024;

export class LineBuffers {
  /** Those with something in them. */
  readonly #waiting = new Set<() => void>();

  /** `write` gets whole lines with their ends, and must not throw. */
  to(write: (text: string) => void): (line: string) => void {
    let text = "";
    let timer: NodeJS.Timeout | undefined;
    const flush = () => {
      clearTimeout(timer);
      timer = undefined;
      this.#waiting.delete(flush);
      const whole = text;
      text = "";
      write(whole);
    };
    return (line) => {
      text += `${line}\n`;
      if (text.length >= mostBytes) flush();
      else if (timer === undefined) {
        timer = setTimeout(flush, gatherMs).unref();
        this.#waiting.add(flush);
      }
    };
  }

  flush(): void {
    for (const flush of this.#waiting) flush();
  }
}
