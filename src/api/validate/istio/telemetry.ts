/** Telemetries, and the providers that they name: the structure and rules of Istio's API. */

import type { ExtensionProvider } from "../../heddle/v1.ts";
import type { TelemetrySpec } from "../../istio/telemetry.ts";
import { hostProblem } from "../names.ts";
import { type Check, refine } from "../schema/check.ts";
import { list, mapOf, record } from "../schema/record.ts";
import {
  anything,
  boolean,
  integer,
  nonEmpty,
  number,
  oneOf,
  portNumber,
  text,
} from "../schema/scalar.ts";
import { workloadSelector } from "../selector.ts";

const providers = list(record({ "name!": nonEmpty }));
const mode = oneOf("CLIENT", "SERVER", "CLIENT_AND_SERVER");
const match = record({ mode });

const tracing: Check = refine<NonNullable<TelemetrySpec["tracing"]>[number]>(
  record({
    match,
    providers,
    randomSamplingPercentage: number(0, 100),
    disableSpanReporting: boolean,
    customTags: anything,
    useRequestIdForTraceSampling: boolean,
    enableIstioTags: boolean,
  }),
  ({ providers: named = [] }, at) => {
    if (named.length > 1) at.field("providers").warning("has several: the first one is told");
  },
);

const tagOverride: Check = refine<{ readonly operation?: string; readonly value?: string }>(
  record({ operation: oneOf("UPSERT", "REMOVE"), value: text() }),
  ({ operation = "UPSERT", value = "" }, at) => {
    const field = at.field("value");
    if (operation === "UPSERT" && value === "") field.error("must be given to set a tag");
    if (operation === "REMOVE" && value !== "") field.error("must be absent to remove a tag");
  },
);

const metrics: Check = record({
  providers,
  reportingInterval: text(),
  overrides: list(
    record({
      match: record({ metric: text(), customMetric: nonEmpty, mode }),
      disabled: boolean,
      tagOverrides: mapOf(tagOverride),
    }),
  ),
});

/** Its namespace is the object's own. */
const targetRef: Check = refine<{ readonly namespace?: string }>(
  record({ group: text(), "kind!": nonEmpty, "name!": nonEmpty, namespace: text() }),
  ({ namespace = "" }, at) => {
    if (namespace !== "") at.field("namespace").error(`must not be set, got "${namespace}"`);
  },
);

export const telemetrySpec: Check = refine<TelemetrySpec>(
  record({
    selector: workloadSelector,
    targetRef,
    targetRefs: list(targetRef),
    tracing: list(tracing),
    accessLogging: list(
      record({ match, providers, disabled: boolean, filter: record({ expression: text() }) }),
    ),
    metrics: list(metrics),
  }),
  ({ tracing: rules = [] }, at) => {
    if (rules.length > 1 && rules.some((rule) => rule.match === undefined)) {
      at.field("tracing").warning("has several for the same requests: the last one holds");
    }
  },
);

const kinds = ["opentelemetry", "envoyFileAccessLog"] as const;

/** Istio's mesh option `extensionProviders`, as far as there is something behind it. */
export const extensionProvider: Check = refine<ExtensionProvider>(
  record({
    "name!": nonEmpty,
    opentelemetry: record({
      "service!": text((value) => hostProblem(value.replace(/^[a-z0-9-]+\//, ""))),
      "port!": portNumber,
      "http!": record({
        path: text((value) => (/^\/[^\s?#]*$/.test(value) ? undefined : "must be a path")),
      }),
      maxTagLength: integer(),
    }),
    envoyFileAccessLog: record({ path: text() }),
  }),
  (value, at) => {
    const given = kinds.filter((kind) => value[kind] !== undefined);
    if (given.length === 1) return;
    const got = given.length === 0 ? "none" : "both";
    at.error(`must have exactly one of ${kinds.join(", ")}, got ${got}`);
  },
);
