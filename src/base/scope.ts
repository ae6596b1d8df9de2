/**
 * Resources with their undo, registered in the line that acquires them.
 *
 * `await using scope = new Scope()` undoes, newest first, everything that was registered with `onExit`, and what was
 * registered with `onFailure` unless `succeed()` was called. Undoing goes on after a failure; what failed is thrown
 * together as one AggregateError.
 */

type Undo = () => void | Promise<void>;

export class Scope implements AsyncDisposable {
  readonly #undos: { readonly undo: Undo; readonly always: boolean }[] = [];
  #succeeded = false;

  /** Runs `undo` when the scope ends, whatever the outcome. */
  onExit(undo: Undo): void {
    this.#undos.push({ undo, always: true });
  }

  /** Runs `undo` when the scope ends without `succeed()`. */
  onFailure(undo: Undo): void {
    this.#undos.push({ undo, always: false });
  }

  /** Past this line nothing registered with `onFailure` is undone. */
  succeed(): void {
    this.#succeeded = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const errors: unknown[] = [];
    for (const { undo, always } of this.#undos.splice(0).reverse()) {
      if (!always && this.#succeeded) continue;
      try {
        await undo();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, "undo");
  }
}
