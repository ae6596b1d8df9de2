import assert from "node:assert/strict";
import { test } from "node:test";
import { hasPlace, readTrace, renderTrace, type TraceForm } from "./context.ts";

const trace = "0af7651916cd43dd8448eb211c80319c";
const short = "8448eb211c80319c";
const span = "b7ad6b7169203331";

/** `trace span sampled forms`, or `- sampled forms`. */
function read(fields: Readonly<Record<string, string>>): string {
  const found = readTrace((name) => fields[name]);
  const decided = found.isSampled === undefined ? "?" : found.isSampled ? "yes" : "no";
  const place = hasPlace(found) ? `${found.traceId} ${found.parentId}` : "-";
  return [place, decided, ...found.forms].join(" ");
}

const cases: readonly (readonly [fields: Readonly<Record<string, string>>, expected: string])[] = [
  [{}, "- ?"],
  [{ traceparent: `00-${trace}-${span}-01` }, `${trace} ${span} yes w3c`],
  [{ traceparent: `00-${trace}-${span}-00` }, `${trace} ${span} no w3c`],
  [{ traceparent: `00-${trace}-${span}-03` }, `${trace} ${span} yes w3c`],
  [{ traceparent: `cc-${trace}-${span}-01-what-comes` }, `${trace} ${span} yes w3c`],
  [{ traceparent: `00-${trace}-${span}-01-more` }, "- ?"],
  [{ traceparent: `ff-${trace}-${span}-01` }, "- ?"],
  [{ traceparent: `00-${"0".repeat(32)}-${span}-01` }, "- ?"],
  [{ traceparent: `00-${trace}-${"0".repeat(16)}-01` }, "- ?"],
  [{ traceparent: `00-${trace.toUpperCase()}-${span}-01` }, "- ?"],
  [{ traceparent: `00-${trace}-${span}-01,00-${trace}-${span}-01` }, "- ?"],
  [{ b3: `${trace}-${span}-1` }, `${trace} ${span} yes b3-single`],
  [{ b3: `${short}-${span}` }, `${"0".repeat(16)}${short} ${span} ? b3-single`],
  [{ b3: `${trace}-${span}-d-${short}` }, `${trace} ${span} yes b3-single`],
  [{ b3: "0" }, "- no b3-single"],
  [{ b3: "nonsense" }, "- ?"],
  [
    { "x-b3-traceid": trace, "x-b3-spanid": span, "x-b3-sampled": "0" },
    `${trace} ${span} no b3-multi`,
  ],
  [{ "x-b3-traceid": short, "x-b3-spanid": span }, `${"0".repeat(16)}${short} ${span} ? b3-multi`],
  [
    { "x-b3-traceid": trace, "x-b3-spanid": span, "x-b3-flags": "1" },
    `${trace} ${span} yes b3-multi`,
  ],
  [{ "x-b3-traceid": trace, "x-b3-sampled": "true" }, "- yes b3-multi"],
  [{ "x-b3-sampled": "0" }, "- no b3-multi"],
  [
    { traceparent: `00-${trace}-${span}-01`, b3: `${short}-${span}-0` },
    `${trace} ${span} yes w3c b3-single`,
  ],
];

for (const [fields, expected] of cases) {
  test(`a request with ${JSON.stringify(fields)} is at ${expected}`, () => {
    assert.equal(read(fields), expected);
  });
}

test("a place is written in W3C's form, and in those of B3 that are asked for", () => {
  const forms = new Set<TraceForm>(["b3-single", "b3-multi"]);
  const lines = renderTrace({ traceId: trace, parentId: short, isSampled: true }, span, forms);
  assert.deepEqual(lines.split("\r\n"), [
    `traceparent: 00-${trace}-${span}-01`,
    `b3: ${trace}-${span}-1-${short}`,
    `x-b3-traceid: ${trace}`,
    `x-b3-spanid: ${span}`,
    `x-b3-parentspanid: ${short}`,
    "x-b3-sampled: 1",
    "",
  ]);
  const first = { traceId: trace, parentId: undefined, isSampled: false };
  assert.equal(renderTrace(first, span, new Set()), `traceparent: 00-${trace}-${span}-00\r\n`);
});
