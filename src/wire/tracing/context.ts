/**
 * The place of a request in its trace, as requests carry it: W3C's `traceparent`, and B3 in its two forms.
 *
 * W3C's outranks B3 where both came. What cannot be read counts as not being there, as both standards have it: the trace
 * begins anew, and what came along with it (`tracestate`) is left behind.
 *
 * Not here: who decides which traces are told of, and to whom (proxy/filter/tracing.ts).
 */

export interface TraceContext {
  /** 32 hex digits. */
  readonly traceId: string;
  /** The caller's span, 16 hex digits. */
  readonly parentId: string;
  /** Undefined: nobody has decided yet whether the trace is told of (B3 alone can say so). */
  readonly isSampled: boolean | undefined;
  /** In which forms it came. */
  readonly forms: ReadonlySet<TraceForm>;
}

export type TraceForm = "w3c" | "b3-single" | "b3-multi";

/** Everything that says where in a trace a request is; lower case. `tracestate` says more of `traceparent`. */
export const traceFields: readonly string[] = [
  "traceparent",
  "b3",
  "x-b3-traceid",
  "x-b3-spanid",
  "x-b3-parentspanid",
  "x-b3-sampled",
  "x-b3-flags",
];

/** What a request without a place in a trace may still say: that its trace is to be told of, or not. */
export interface TraceDecision {
  readonly isSampled: boolean | undefined;
  readonly forms: ReadonlySet<TraceForm>;
}

type Field = (name: string) => string | undefined;

/** `field`: the value of the field of the name (lower case), several joined by commas. */
export function readTrace(field: Field): TraceContext | TraceDecision {
  const b3 = singleB3(field) ?? multipleB3(field);
  const w3c = traceParent(field("traceparent"));
  if (w3c === undefined) return b3 ?? { isSampled: undefined, forms: new Set() };
  return { ...w3c, forms: new Set<TraceForm>(["w3c", ...(b3?.forms ?? [])]) };
}

export function hasPlace(trace: TraceContext | TraceDecision): trace is TraceContext {
  return "traceId" in trace;
}

/** Complete lines that put a request below the span `spanId` of the trace, in the forms given, in W3C's at least. */
export function renderTrace(
  {
    traceId,
    parentId,
    isSampled,
  }: {
    readonly traceId: string;
    /** Of the span: whose child it is. */
    readonly parentId: string | undefined;
    readonly isSampled: boolean;
  },
  spanId: string,
  forms: ReadonlySet<TraceForm>,
): string {
  const sampled = isSampled ? "1" : "0";
  let lines = `traceparent: 00-${traceId}-${spanId}-0${sampled}\r\n`;
  if (forms.has("b3-single")) {
    const parent = parentId === undefined ? "" : `-${parentId}`;
    lines += `b3: ${traceId}-${spanId}-${sampled}${parent}\r\n`;
  }
  if (forms.has("b3-multi")) {
    lines += `x-b3-traceid: ${traceId}\r\nx-b3-spanid: ${spanId}\r\n`;
    if (parentId !== undefined) lines += `x-b3-parentspanid: ${parentId}\r\n`;
    lines += `x-b3-sampled: ${sampled}\r\n`;
  }
  return lines;
}

const zeros = /^0+$/;

/** https://www.w3.org/TR/trace-context/#traceparent-header: later versions may be longer, and begin as this one. */
function traceParent(text: string | undefined): Omit<TraceContext, "forms"> | undefined {
  const match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(
    text ?? "",
  );
  if (match === null) return undefined;
  const [, version = "", traceId = "", parentId = "", flags = "", rest] = match;
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  if (zeros.test(traceId) || zeros.test(parentId)) return undefined;
  return { traceId, parentId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** `{trace}-{span}[-{sampled}[-{parent}]]`, or the decision alone. */
function singleB3(field: Field): TraceContext | TraceDecision | undefined {
  const text = field("b3")?.toLowerCase();
  if (text === undefined) return undefined;
  const forms: ReadonlySet<TraceForm> = new Set<TraceForm>(["b3-single"]);
  if (/^[01d]$/.test(text)) return { isSampled: text !== "0", forms };
  const match = /^([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?$/.exec(
    text,
  );
  if (match === null) return undefined;
  const [, traceId = "", parentId = "", sampled] = match;
  return place(traceId, parentId, sampled === undefined ? undefined : sampled !== "0", forms);
}

function multipleB3(field: Field): TraceContext | TraceDecision | undefined {
  const traceId = field("x-b3-traceid")?.toLowerCase() ?? "";
  const parentId = field("x-b3-spanid")?.toLowerCase() ?? "";
  const sampled = field("x-b3-sampled")?.toLowerCase();
  const isDebug = field("x-b3-flags") === "1";
  const isTold = ["1", "true"].includes(sampled ?? "");
  const isKnown = isTold || ["0", "false"].includes(sampled ?? "");
  const isSampled = isDebug ? true : isKnown ? isTold : undefined;
  const forms: ReadonlySet<TraceForm> = new Set<TraceForm>(["b3-multi"]);
  const isPlace = /^(?:[0-9a-f]{16}){1,2}$/.test(traceId) && /^[0-9a-f]{16}$/.test(parentId);
  if (isPlace) return place(traceId, parentId, isSampled, forms);
  return isSampled === undefined ? undefined : { isSampled, forms };
}

function place(
  traceId: string,
  parentId: string,
  isSampled: boolean | undefined,
  forms: ReadonlySet<TraceForm>,
): TraceContext | undefined {
  if (zeros.test(traceId) || zeros.test(parentId)) return undefined;
  return { traceId: traceId.padStart(32, "0"), parentId, isSampled, forms };
}
