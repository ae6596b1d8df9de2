/** What every pure compiler returns: a value, and notes on the input that made parts of it weaker than asked. */

export interface Diagnostic {
  readonly severity: "error" | "warning" | "info";
  /** Stable code such as `HEDDLE0101`. */
  readonly code: string;
  /** The object and path the note is about, e.g. `VirtualService shop/cart spec.http[0].route[1]`. */
  readonly where: string;
  readonly message: string;
}

export interface Compiled<T> {
  readonly value: T;
  readonly diagnostics: readonly Diagnostic[];
}
