/**
 * Access logs of connections and requests, and tracing of requests.
 *
 * A log is Envoy's file log or its log on standard output: whichever, its lines are ours and go where the sidecar's own log
 * goes. Spans go by OTLP over HTTP. Other kinds of either are passed over and not refused: who cannot tell of requests
 * can carry them all the same.
 */

import type { NetworkFilter, Tracing } from "../../model/proxy-config.ts";
import { given, isPacked, pack, unpack } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { FileAccessLog, OpenTelemetryConfig, StdoutAccessLog } from "./gen/messages.ts";

type Telemetry = Pick<Extract<NetworkFilter, { kind: "http" }>, "accessLog" | "tracing">;
type Fields = Pick<wire.HttpConnectionManager, "accessLog" | "tracing">;

export function encodeTelemetry({ accessLog, tracing }: Telemetry): Fields {
  return {
    ...encodeAccessLog(accessLog),
    ...(tracing === undefined ? {} : { tracing: encodeTracing(tracing) }),
  };
}

export function decodeTelemetry({ accessLog, tracing }: Fields, path: string): Telemetry {
  return {
    ...decodeAccessLog(accessLog),
    ...given("tracing", tracing && decodeTracing(tracing, `${path}.tracing`)),
  };
}

export function encodeAccessLog(isLogged: boolean | undefined): Pick<Fields, "accessLog"> {
  return isLogged === true ? { accessLog: [fileLog] } : {};
}

export function decodeAccessLog(logs: Fields["accessLog"]): Pick<Telemetry, "accessLog"> {
  const isLogged = (logs ?? []).some(
    ({ typedConfig }) =>
      isPacked(typedConfig, FileAccessLog) || isPacked(typedConfig, StdoutAccessLog),
  );
  return isLogged ? { accessLog: true } : {};
}

const fileLog: wire.AccessLog = {
  name: "envoy.access_loggers.file",
  typedConfig: pack(FileAccessLog, { path: "/dev/stdout" }),
};

/** How long Envoy waits for the collector. */
const exportTimeout: wire.Duration = { seconds: 5 };

function encodeTracing({ cluster, host, path, service, percent }: Tracing): wire.HttpTracing {
  return {
    randomSampling: { value: percent },
    provider: {
      name: "envoy.tracers.opentelemetry",
      typedConfig: pack(OpenTelemetryConfig, {
        httpService: { httpUri: { uri: `http://${host}${path}`, cluster, timeout: exportTimeout } },
        serviceName: service,
      }),
    },
  };
}

function decodeTracing(
  { randomSampling, provider }: wire.HttpTracing,
  path: string,
): Tracing | undefined {
  const any = provider?.typedConfig;
  if (!isPacked(any, OpenTelemetryConfig)) return undefined;
  const config = unpack(OpenTelemetryConfig, any, `${path}.provider.typed_config`);
  const { uri = "", cluster } = config.httpService?.httpUri ?? {};
  const [, host, target] = /^https?:\/\/([^/?#\s]+)(\/[^?#\s]*)?/i.exec(uri) ?? [];
  if (cluster === undefined || host === undefined) return undefined;
  return {
    cluster,
    host,
    path: target ?? "/",
    service: config.serviceName ?? "unknown_service",
    // Absent: all, as with Envoy; a message that is there and says nothing is a zero.
    percent: randomSampling === undefined ? 100 : (randomSampling.value ?? 0),
  };
}
