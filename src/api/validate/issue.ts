/**
 * What validation says of an object: where, what is wanted and what was found.
 *
 * An error makes the object meaningless. A warning names something that Heddle can go on with but that its author
 * hardly meant (a misspelled field, weights that do not add up): strict writers have it refused, others are told.
 */

export interface Issue {
  /** `spec.http[0].route`; empty for the object as a whole. */
  readonly path: string;
  readonly message: string;
  readonly severity: "error" | "warning";
}

/** `spec.http[0].route: weights must sum to 100, got 90`. */
export function renderIssue({ path, message }: Issue): string {
  return path === "" ? message : `${path}: ${message}`;
}
