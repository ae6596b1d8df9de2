/**
 * Spans as OTLP/HTTP takes them, in JSON (opentelemetry.io/docs/specs/otlp): one request for many spans of one service.
 *
 * Attributes have Envoy's names, which people know from Istio's traces.
 */

export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | undefined;
  readonly name: string;
  /** `server`: it took a request; `client`: it sent one. */
  readonly kind: "server" | "client";
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly hasFailed: boolean;
  /** Undefined ones are left out. */
  readonly attributes: Readonly<Record<string, string | undefined>>;
}

/** Numbers of OTLP's SpanKind. */
const kinds = { server: 2, client: 3 } as const;
const statusError = 2;

/** `spans`: each as `renderSpan` has it. */
export function renderSpans(service: string, spans: readonly string[]): string {
  const resource = JSON.stringify({ attributes: attributes({ "service.name": service }) });
  const scope = `{"scope":{"name":"heddle"},"spans":[${spans.join(",")}]}`;
  return `{"resourceSpans":[{"resource":${resource},"scopeSpans":[${scope}]}]}`;
}

/** Text of its own, which keeps nothing of what its attributes were cut from. */
export function renderSpan(span: Span): string {
  return JSON.stringify({
    traceId: span.traceId,
    spanId: span.spanId,
    ...(span.parentId === undefined ? {} : { parentSpanId: span.parentId }),
    name: span.name,
    kind: kinds[span.kind],
    startTimeUnixNano: nanoseconds(span.startedAt),
    endTimeUnixNano: nanoseconds(span.endedAt),
    attributes: attributes(span.attributes),
    ...(span.hasFailed ? { status: { code: statusError } } : {}),
  });
}

function attributes(values: Span["attributes"]): readonly unknown[] {
  return Object.entries(values).flatMap(([key, value]) =>
    value === undefined ? [] : [{ key, value: { stringValue: value } }],
  );
}

/** More digits than a number of JSON has. */
function nanoseconds(ms: number): string {
  return `${Math.round(ms * 1_000)}000`;
}
