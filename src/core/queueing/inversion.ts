/**
 * Tails of non-negative times from their Laplace transforms, by Abate and Whitt's Euler algorithm.
 *
 * The sum behind the inversion integral is taken on a line chosen so that aliasing stays below 1e-9, and its slowly
 * alternating rest is averaged. Good for distributions without jumps; how narrow the narrowest feature is must be told,
 * because as many terms are needed as that width fits into t. A jump (constant service) is to be shifted out first.
 *
 * Source: J. Abate, W. Whitt, Numerical inversion of Laplace transforms of probability distributions, ORSA Journal on
 * Computing 7 (1995), §1.
 */

/** x + iy. */
export interface Complex {
  readonly re: number;
  readonly im: number;
}

const aliasing = 20.7; // e^−20.7 = 1e-9
const averaged = 12; // terms of the binomial average

/** P(T > t) where `transform(s)` = E[e^(−sT)]; `width` is the width of T's narrowest feature, in units of t. */
export function tailFromTransform(
  transform: (s: Complex) => Complex,
  t: number,
  width: number,
): number {
  if (t <= 0) return 1;
  const terms = Math.min(20_000, 30 + Math.ceil((2 * t) / width));
  const at = (k: number): number => {
    const s = { re: aliasing / (2 * t), im: (k * Math.PI) / t };
    const f = transform(s);
    return divide({ re: 1 - f.re, im: -f.im }, s).re;
  };
  let sum = at(0) / 2;
  let average = 0;
  let weight = 2 ** -averaged;
  for (let k = 1; k <= terms + averaged; k++) {
    sum += k % 2 === 0 ? at(k) : -at(k);
    const j = k - terms;
    if (j < 0) continue;
    average += weight * sum;
    weight *= (averaged - j) / (j + 1);
  }
  const tail = (Math.exp(aliasing / 2) / t) * average;
  return Math.min(1, Math.max(0, tail));
}

/**
 * E[e^(−sX)] of a gamma-distributed X: (1 + s·mean·scv)^(−1/scv); a constant where scv is 0, exponential where it is 1.
 */
export function gammaTransform(s: Complex, mean: number, scv: number): Complex {
  if (scv === 0) return polar(Math.exp(-s.re * mean), -s.im * mean);
  const re = 1 + s.re * mean * scv;
  const im = s.im * mean * scv;
  return polar((re * re + im * im) ** (-0.5 / scv), -Math.atan2(im, re) / scv);
}

export function multiply(a: Complex, b: Complex): Complex {
  return { re: a.re * b.re - a.im * b.im, im: a.re * b.im + a.im * b.re };
}

export function divide(a: Complex, b: Complex): Complex {
  const size = b.re * b.re + b.im * b.im;
  return { re: (a.re * b.re + a.im * b.im) / size, im: (a.im * b.re - a.re * b.im) / size };
}

function polar(size: number, angle: number): Complex {
  return { re: size * Math.cos(angle), im: size * Math.sin(angle) };
}
