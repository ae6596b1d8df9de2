/**
 * Work in parts: a generator that yields wherever somebody else may have his turn, and answers at its end.
 *
 * The same code is then run at once, where nothing may come between, or bit by bit.
 */

export type InParts<T> = Generator<void, T>;

/** Runs all parts at once. */
export function atOnce<T>(work: InParts<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}

export interface Turns {
  /** Whether it is time for the others. */
  isDue(): boolean;
  /** Resolves when they had their turn. */
  next(): Promise<void>;
}

/** Runs the parts with turns for others in between. */
export async function inTurns<T>(work: InParts<T>, turns: Turns): Promise<T> {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
    if (turns.isDue()) await turns.next();
  }
}
