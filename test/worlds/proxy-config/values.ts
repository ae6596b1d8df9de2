/** The small values that random configurations are made of. */

import fc from "fast-check";
import type { Json } from "../../../src/base/json.ts";
import type { HeaderMatch, StringMatch } from "../../../src/model/proxy-config.ts";

export const text: fc.Arbitrary<string> = fc.string({
  unit: "grapheme",
  minLength: 1,
  maxLength: 12,
});
export const name: fc.Arbitrary<string> = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
export const port: fc.Arbitrary<number> = fc.integer({ min: 1, max: 65_535 });
export const ms: fc.Arbitrary<number> = fc.integer({ min: 0, max: 3_600_000 });
export const count: fc.Arbitrary<number> = fc.integer({ min: 0, max: 4_294_967_294 });
export const address: fc.Arbitrary<string> = fc.ipV4();
export const regex: fc.Arbitrary<string> = fc.constantFrom(
  "a+",
  "/v[0-9]+/.*",
  ".*/ns/shop/.*",
  "x|y",
);

/** What balancers go by: `envoy.lb`. */
export const metadata: fc.Arbitrary<Readonly<Record<string, Json>>> = fc.dictionary(
  name,
  fc.oneof(name, fc.boolean(), fc.integer(), fc.constant(null), fc.array(name, { maxLength: 2 })),
  { minKeys: 1, maxKeys: 2 },
);

export const maybe = { requiredKeys: [] as [] };

export const stringMatch: fc.Arbitrary<StringMatch> = fc.oneof(
  fc.record({ kind: fc.constantFrom("exact", "prefix", "suffix"), value: text }),
  fc.record({ kind: fc.constant("regex"), value: regex }),
  fc.record({ kind: fc.constant("present") }),
) as fc.Arbitrary<StringMatch>;

export const headerMatch: fc.Arbitrary<HeaderMatch> = fc.record({
  name,
  match: stringMatch,
  invert: fc.boolean(),
});

export const pairs: fc.Arbitrary<(readonly [name: string, value: string])[]> = fc.array(
  fc.tuple(name, text).map(([key, value]) => [key, value] as const),
  {
    maxLength: 2,
  },
);

export const percent: fc.Arbitrary<number> = fc
  .integer({ min: 0, max: 1_000_000 })
  .map((parts) => parts / 10_000);

export const names: fc.Arbitrary<string[]> = fc.array(name, { maxLength: 2 });

/** Of both ends of TLS inside the mesh. */
export const mutualTls: {
  readonly alpn: fc.Arbitrary<string[]>;
  readonly certificate: fc.Arbitrary<string>;
  readonly validation: fc.Arbitrary<string>;
} = { alpn: names, certificate: name, validation: name };

export const direction: fc.Arbitrary<"inbound" | "outbound"> = fc.constantFrom(
  "inbound",
  "outbound",
);

export function sorted<T>(items: fc.Arbitrary<T>, key: (item: T) => string): fc.Arbitrary<T[]> {
  return fc
    .uniqueArray(items, { selector: key, maxLength: 3 })
    .map((list) => list.sort((a, b) => (key(a) < key(b) ? -1 : 1)));
}
