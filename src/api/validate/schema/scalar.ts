/** Checks of single values: texts, numbers, choices. */

import { type Check, type Place, shown, typeName } from "./check.ts";

/** Known to the API, but nothing that Heddle reads: kept as it came. */
export const anything: Check = () => {};

export const boolean: Check = (value, at) => {
  if (typeof value !== "boolean") at.error(`must be true or false, got ${typeName(value)}`);
};

/** A text, of which `rule` may want more: it answers what is wanted, or undefined where it is satisfied. */
export function text(rule?: (value: string) => string | undefined): Check {
  return (value, at) => {
    if (typeof value !== "string") at.error(`must be a string, got ${typeName(value)}`);
    else wantedBy(rule?.(value), value, at);
  };
}

export const nonEmpty: Check = text((value) =>
  value === "" ? "must be a non-empty string" : undefined,
);

/** An integer from `least` to `most`. */
export function integer(
  least: number = Number.NEGATIVE_INFINITY,
  most: number = Number.POSITIVE_INFINITY,
): Check {
  return (value, at) => {
    if (typeof value !== "number") at.error(`must be an integer, got ${typeName(value)}`);
    else if (!Number.isInteger(value)) at.error(`must be an integer, got ${value}`);
    else range(value, least, most, at);
  };
}

export function number(
  least: number = Number.NEGATIVE_INFINITY,
  most: number = Number.POSITIVE_INFINITY,
): Check {
  return (value, at) => {
    if (typeof value !== "number") at.error(`must be a number, got ${typeName(value)}`);
    else range(value, least, most, at);
  };
}

export const portNumber: Check = integer(1, 65535);

/** One of these texts. */
export function oneOf(...choices: readonly string[]): Check {
  return (value, at) => {
    if (typeof value !== "string" || !choices.includes(value)) {
      at.error(`must be one of ${choices.join(", ")}, got ${shown(value)}`);
    }
  };
}

/** The first check for numbers, the second for everything else. */
export function numberOr(ofNumber: Check, otherwise: Check): Check {
  return (value, at) => (typeof value === "number" ? ofNumber : otherwise)(value, at);
}

function range(value: number, least: number, most: number, at: Place): void {
  if (value >= least && value <= most) return;
  const wanted = most === Number.POSITIVE_INFINITY ? `${least} or more` : `${least}..${most}`;
  at.error(`must be ${wanted}, got ${value}`);
}

function wantedBy(wanted: string | undefined, value: string, at: Place): void {
  if (wanted !== undefined) at.error(`${wanted}, got ${shown(value)}`);
}
