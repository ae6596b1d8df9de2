/**
 * Active health checks. What is not run is refused: several checks of a cluster, ports beside the endpoint's own, other
 * protocols than HTTP, TCP and gRPC.
 *
 * Envoy's edge intervals are not in the model: after a change the next check follows at the usual interval.
 */

import type { HealthCheck, HealthProbe, StatusRange } from "../../model/proxy-config.ts";
import {
  decodeDuration,
  encodeDuration,
  given,
  invalid,
  required,
  wrappedNumber,
} from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { RequestMethod } from "./gen/messages.ts";

export function encodeHealthCheck(check: HealthCheck): wire.HealthCheck {
  const duration = (ms: number | undefined): wire.Duration | undefined =>
    ms === undefined ? undefined : encodeDuration(ms);
  return {
    timeout: encodeDuration(check.timeoutMs),
    interval: encodeDuration(check.intervalMs),
    ...given("initialJitter", duration(check.initialJitterMs)),
    ...given("intervalJitter", duration(check.jitterMs)),
    ...given("intervalJitterPercent", check.jitterPercent),
    unhealthyThreshold: { value: check.unhealthyThreshold },
    healthyThreshold: { value: check.healthyThreshold },
    ...given("noTrafficInterval", duration(check.noTrafficIntervalMs)),
    ...given("unhealthyInterval", duration(check.unhealthyIntervalMs)),
    ...encodeProbe(check.probe),
  };
}

export function decodeHealthChecks(
  checks: readonly wire.HealthCheck[],
  path: string,
): HealthCheck | undefined {
  const [check, ...others] = checks;
  if (check === undefined) return undefined;
  if (others.length > 0) throw invalid(path, `want one health check, got ${checks.length}`);
  const at = `${path}[0]`;
  if (check.altPort !== undefined) {
    throw invalid(`${at}.alt_port`, "checks go to the endpoint's own port");
  }
  return {
    probe: decodeProbe(check, at),
    timeoutMs: required(decodeDuration(check.timeout), `${at}.timeout`),
    intervalMs: positive(decodeDuration(check.interval), `${at}.interval`),
    ...given("initialJitterMs", decodeDuration(check.initialJitter)),
    ...given("jitterMs", decodeDuration(check.intervalJitter)),
    ...given("jitterPercent", check.intervalJitterPercent || undefined),
    unhealthyThreshold: wrappedNumber(check.unhealthyThreshold, 1),
    healthyThreshold: wrappedNumber(check.healthyThreshold, 1),
    ...given("noTrafficIntervalMs", decodeDuration(check.noTrafficInterval)),
    ...given("unhealthyIntervalMs", decodeDuration(check.unhealthyInterval)),
  };
}

/** An interval of nothing would be a flood. */
function positive(ms: number | undefined, path: string): number {
  const given = required(ms, path);
  if (given <= 0) throw invalid(path, `want more than 0, got ${given} ms`);
  return given;
}

function encodeProbe(probe: HealthProbe): wire.HealthCheck {
  switch (probe.kind) {
    case "http":
      return {
        httpHealthCheck: {
          ...given("host", probe.host),
          path: probe.path,
          method: methods[probe.method],
          requestHeadersToAdd: encodeHeaders(probe.headers),
          expectedStatuses: probe.expected.map(encodeRange),
          retriableStatuses: probe.retriable.map(encodeRange),
        },
      };
    case "tcp":
      return {
        tcpHealthCheck: {
          ...given("send", probe.send === "" ? undefined : { text: probe.send }),
          receive: probe.receive.map((text) => ({ text })),
        },
      };
    case "grpc":
      return {
        grpcHealthCheck: {
          serviceName: probe.service,
          ...given("authority", probe.authority),
          initialMetadata: encodeHeaders(probe.headers),
        },
      };
  }
}

function decodeProbe(check: wire.HealthCheck, path: string): HealthProbe {
  const { httpHealthCheck: http, tcpHealthCheck: tcp, grpcHealthCheck: grpc } = check;
  if (http !== undefined) {
    return {
      kind: "http",
      path: required(http.path, `${path}.http_health_check.path`),
      ...given("host", http.host || undefined),
      method: methodNamed(http.method ?? 0, `${path}.http_health_check.method`),
      headers: decodeHeaders(http.requestHeadersToAdd),
      expected: (http.expectedStatuses ?? []).map(decodeRange),
      retriable: (http.retriableStatuses ?? []).map(decodeRange),
    };
  }
  if (tcp !== undefined) {
    return {
      kind: "tcp",
      send: payload(tcp.send),
      receive: (tcp.receive ?? []).map(payload),
    };
  }
  if (grpc !== undefined) {
    return {
      kind: "grpc",
      service: grpc.serviceName ?? "",
      ...given("authority", grpc.authority || undefined),
      headers: decodeHeaders(grpc.initialMetadata),
    };
  }
  throw invalid(path, "want http_health_check, tcp_health_check or grpc_health_check");
}

const methods = {
  GET: RequestMethod.GET,
  HEAD: RequestMethod.HEAD,
  OPTIONS: RequestMethod.OPTIONS,
} as const;

function methodNamed(method: number, path: string): keyof typeof methods {
  switch (method) {
    case RequestMethod.METHOD_UNSPECIFIED:
    case RequestMethod.GET:
      return "GET";
    case RequestMethod.HEAD:
      return "HEAD";
    case RequestMethod.OPTIONS:
      return "OPTIONS";
    default:
      throw invalid(path, `want GET, HEAD or OPTIONS, got ${method}`);
  }
}

type Headers = readonly (readonly [name: string, value: string])[];

function encodeHeaders(headers: Headers): readonly wire.HeaderValueOption[] {
  return headers.map(([key, value]) => ({ header: { key, value } }));
}

function decodeHeaders(headers: readonly wire.HeaderValueOption[] = []): Headers {
  return headers.map(({ header }) => [header?.key ?? "", header?.value ?? ""] as const);
}

/** Hexadecimal. */
function payload(given: wire.HealthPayload | undefined): string {
  const { text, binary } = given ?? {};
  if (binary === undefined) return text ?? "";
  return [...binary].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Envoy's ranges end before their end. */
function encodeRange({ from, to }: StatusRange): wire.Int64Range {
  return { start: from, end: to + 1 };
}

function decodeRange({ start = 0, end = 0 }: wire.Int64Range): StatusRange {
  return { from: start, to: end - 1 };
}
