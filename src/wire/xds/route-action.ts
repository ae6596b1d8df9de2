/**
 * What a route does: forward to clusters, redirect, or answer itself.
 *
 * One cluster with the whole weight (100, no header operations of its own) travels as `cluster`, everything else as
 * `weighted_clusters`.
 */

import { decodeUtf8 } from "../../base/utf8.ts";
import type {
  HashKey,
  Mirror,
  RetryPolicy,
  RouteAction,
  WeightedCluster,
} from "../../model/proxy-config.ts";
import {
  decodeDuration,
  encodeDuration,
  given,
  invalid,
  isPacked,
  pack,
  required,
  unpack,
  wrappedNumber,
} from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { PreviousHostsPredicate, PreviousPrioritiesConfig, RedirectCode } from "./gen/messages.ts";
import { decodeHashKey, encodeHashKey } from "./hash-policy.ts";
import { decodeEdits, encodeEdits } from "./header-edit.ts";
import { decodePercent, encodePercent } from "./percent.ts";
import { checked } from "./string-match.ts";
import { decodeBalancerMetadata, encodeBalancerMetadata } from "./subsets.ts";

type Forward = Extract<RouteAction, { kind: "forward" }>;
type Redirect = Extract<RouteAction, { kind: "redirect" }>;
type ActionFields = Pick<wire.Route, "route" | "redirect" | "directResponse">;

export function encodeAction(action: RouteAction): ActionFields {
  switch (action.kind) {
    case "forward":
      return { route: encodeForward(action) };
    case "redirect":
      return { redirect: encodeRedirect(action) };
    case "respond":
      return {
        directResponse: { status: action.status, body: { inlineString: action.body } },
      };
  }
}

export function decodeAction(route: ActionFields, path: string): RouteAction {
  if (route.route !== undefined) return decodeForward(route.route, `${path}.route`);
  if (route.redirect !== undefined) return decodeRedirect(route.redirect);
  if (route.directResponse !== undefined) {
    return {
      kind: "respond",
      status: required(route.directResponse.status, `${path}.direct_response.status`),
      body: decodeBody(route.directResponse.body, `${path}.direct_response.body`),
    };
  }
  throw invalid(path, "want route, redirect or direct_response");
}

/** Text, or bytes that are text. */
function decodeBody(body: wire.DataSource | undefined, path: string): string {
  if (body?.inlineBytes === undefined) return body?.inlineString ?? "";
  try {
    return decodeUtf8(body.inlineBytes);
  } catch {
    throw invalid(`${path}.inline_bytes`, "want text in UTF-8");
  }
}

function encodeForward(action: Forward): wire.RouteAction {
  const [only, ...others] = action.clusters;
  const isWhole =
    only !== undefined &&
    others.length === 0 &&
    only.weight === 100 &&
    only.hostRewrite === undefined &&
    only.metadata === undefined &&
    only.requestHeaders === undefined &&
    only.responseHeaders === undefined;
  return {
    ...(isWhole
      ? { cluster: only.cluster }
      : { weightedClusters: { clusters: action.clusters.map(encodeWeighted) } }),
    timeout: encodeDuration(action.timeoutMs),
    // A call of gRPC says how long its caller waits: that holds, and not beyond the route's own timeout (0: none).
    maxGrpcTimeout: encodeDuration(action.timeoutMs),
    ...given("retryPolicy", action.retry && encodeRetry(action.retry)),
    ...given("prefixRewrite", action.prefixRewrite),
    ...given("regexRewrite", action.regexRewrite && encodeRegexRewrite(action.regexRewrite)),
    ...given("hostRewriteLiteral", action.hostRewrite),
    ...given("hashPolicy", action.hash?.map(encodeHashKey)),
    ...given("metadataMatch", action.metadata && encodeBalancerMetadata(action.metadata)),
    ...given("requestMirrorPolicies", action.mirrors?.map(encodeMirror)),
  };
}

function decodeForward(action: wire.RouteAction, path: string): Forward {
  const weighted = action.weightedClusters?.clusters ?? [];
  const clusters: readonly WeightedCluster[] =
    action.cluster === undefined
      ? weighted.map((cluster, index) =>
          decodeWeighted(cluster, `${path}.weighted_clusters.clusters[${index}]`),
        )
      : [{ cluster: action.cluster, weight: 100 }];
  if (clusters.length === 0) throw invalid(path, "want cluster or weighted_clusters");
  const retry = action.retryPolicy;
  return {
    kind: "forward",
    clusters,
    // Envoy's own default where a route says nothing.
    timeoutMs: decodeDuration(action.timeout) ?? 15_000,
    ...given("retry", retry && decodeRetry(retry, `${path}.retry_policy`)),
    // Proto3 keeps no difference between an empty rewrite and none.
    ...given("prefixRewrite", action.prefixRewrite || undefined),
    ...given("regexRewrite", decodeRegexRewrite(action.regexRewrite, `${path}.regex_rewrite`)),
    ...given("hostRewrite", action.hostRewriteLiteral),
    ...given("hash", decodeHash(action.hashPolicy ?? [], `${path}.hash_policy`)),
    ...given("metadata", decodeBalancerMetadata(action.metadataMatch)),
    ...given(
      "mirrors",
      decodeMirrors(action.requestMirrorPolicies ?? [], `${path}.request_mirror_policies`),
    ),
  };
}

function encodeMirror({ cluster, percent }: Mirror): wire.RequestMirrorPolicy {
  return { cluster, runtimeFraction: { defaultValue: encodePercent(percent) } };
}

/** Without a fraction every request is meant. */
function decodeMirrors(
  policies: readonly wire.RequestMirrorPolicy[],
  path: string,
): readonly Mirror[] | undefined {
  const mirrors = policies.map(({ cluster, runtimeFraction: fraction }, index) => ({
    cluster: required(cluster, `${path}[${index}].cluster`),
    percent: fraction === undefined ? 100 : decodePercent(fraction.defaultValue),
  }));
  return mirrors.length === 0 ? undefined : mirrors;
}

function decodeHash(
  policies: readonly wire.HashPolicy[],
  path: string,
): readonly HashKey[] | undefined {
  if (policies.length === 0) return undefined;
  return policies.map((policy, index) => decodeHashKey(policy, `${path}[${index}]`));
}

type RegexRewrite = NonNullable<Forward["regexRewrite"]>;

function encodeRegexRewrite({ pattern, substitution }: RegexRewrite): wire.RegexMatchAndSubstitute {
  return { pattern: { regex: pattern }, substitution };
}

function decodeRegexRewrite(
  rewrite: wire.RegexMatchAndSubstitute | undefined,
  path: string,
): RegexRewrite | undefined {
  if (rewrite === undefined) return undefined;
  const at = `${path}.pattern.regex`;
  const pattern = checked(required(rewrite.pattern?.regex, at), at);
  return { pattern, substitution: rewrite.substitution ?? "" };
}

function encodeWeighted(cluster: WeightedCluster): wire.ClusterWeight {
  return {
    name: cluster.cluster,
    weight: { value: cluster.weight },
    ...given("hostRewriteLiteral", cluster.hostRewrite),
    ...given("metadataMatch", cluster.metadata && encodeBalancerMetadata(cluster.metadata)),
    ...encodeEdits(cluster),
  };
}

function decodeWeighted(cluster: wire.ClusterWeight, path: string): WeightedCluster {
  return {
    cluster: required(cluster.name, `${path}.name`),
    weight: wrappedNumber(cluster.weight, 0),
    ...given("hostRewrite", cluster.hostRewriteLiteral),
    ...given("metadata", decodeBalancerMetadata(cluster.metadataMatch)),
    ...decodeEdits(cluster, path),
  };
}

/** Istio's: prefer a host that was not tried yet, give up looking after five picks. */
const otherHosts: wire.RetryPolicy = {
  retryHostPredicate: [
    {
      name: "envoy.retry_host_predicates.previous_hosts",
      typedConfig: pack(PreviousHostsPredicate, {}),
    },
  ],
  hostSelectionRetryMaxAttempts: 5,
};

const otherPrioritiesName = "envoy.retry_priorities.previous_priorities";

function encodeRetry(retry: RetryPolicy): wire.RetryPolicy {
  return {
    retryOn: retry.on.join(","),
    numRetries: { value: retry.attempts },
    ...(retry.perTryTimeoutMs === 0
      ? {}
      : { perTryTimeout: encodeDuration(retry.perTryTimeoutMs) }),
    ...given("retryPriority", encodeTriesAtPriorities(retry.triesAtPriorities)),
    ...(retry.mayRepeatHosts === true ? {} : otherHosts),
    retriableStatusCodes: retry.retriableStatusCodes,
    retryBackOff: {
      baseInterval: encodeDuration(retry.baseBackoffMs),
      maxInterval: encodeDuration(retry.maxBackoffMs),
    },
  };
}

function encodeTriesAtPriorities(tries: number | undefined): wire.RetryPriority | undefined {
  if (tries === undefined) return undefined;
  const typedConfig = pack(PreviousPrioritiesConfig, { updateFrequency: tries });
  return { name: otherPrioritiesName, typedConfig };
}

/** What another plug-in would do is left undone. */
function decodeTriesAtPriorities(
  priority: wire.RetryPriority | undefined,
  path: string,
): number | undefined {
  const any = priority?.typedConfig;
  if (!isPacked(any, PreviousPrioritiesConfig)) return undefined;
  const { updateFrequency = 0 } = unpack(PreviousPrioritiesConfig, any, `${path}.typed_config`);
  if (updateFrequency > 0) return updateFrequency;
  throw invalid(`${path}.typed_config.update_frequency`, `must be above 0, got ${updateFrequency}`);
}

function decodeRetry(retry: wire.RetryPolicy, path: string): RetryPolicy {
  // Envoy's defaults: 25 ms, ten times that at most.
  const base = decodeDuration(retry.retryBackOff?.baseInterval) ?? 25;
  return {
    attempts: wrappedNumber(retry.numRetries, 1),
    perTryTimeoutMs: decodeDuration(retry.perTryTimeout) ?? 0,
    on: (retry.retryOn ?? "").split(",").filter((condition) => condition !== ""),
    retriableStatusCodes: retry.retriableStatusCodes ?? [],
    baseBackoffMs: base,
    maxBackoffMs: decodeDuration(retry.retryBackOff?.maxInterval) ?? base * 10,
    ...((retry.retryHostPredicate ?? []).length === 0 ? { mayRepeatHosts: true } : {}),
    ...given(
      "triesAtPriorities",
      decodeTriesAtPriorities(retry.retryPriority, `${path}.retry_priority`),
    ),
  };
}

const redirectCodes: readonly (readonly [number, number])[] = [
  [301, RedirectCode.MOVED_PERMANENTLY],
  [302, RedirectCode.FOUND],
  [303, RedirectCode.SEE_OTHER],
  [307, RedirectCode.TEMPORARY_REDIRECT],
  [308, RedirectCode.PERMANENT_REDIRECT],
];

function encodeRedirect(action: Redirect): wire.RedirectAction {
  const code = redirectCodes.find(([status]) => status === action.status);
  if (code === undefined) {
    throw invalid("redirect", `want status 301, 302, 303, 307 or 308, got ${action.status}`);
  }
  return {
    responseCode: code[1],
    ...given("hostRedirect", action.host),
    ...given("pathRedirect", action.path),
    ...given("prefixRewrite", action.prefixRewrite),
    ...given("schemeRedirect", action.scheme),
    ...given("portRedirect", action.port),
  };
}

function decodeRedirect(redirect: wire.RedirectAction): Redirect {
  const code = redirectCodes.find(([, code]) => code === (redirect.responseCode ?? 0));
  return {
    kind: "redirect",
    status: code?.[0] ?? 301,
    ...given("host", redirect.hostRedirect || undefined),
    ...given("path", redirect.pathRedirect || undefined),
    ...given("prefixRewrite", redirect.prefixRewrite || undefined),
    ...given("scheme", redirect.schemeRedirect || undefined),
    ...given("port", redirect.portRedirect || undefined),
  };
}
