import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pack } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { OpenTelemetryConfig, StdoutAccessLog } from "./gen/messages.ts";
import { decodeTelemetry } from "./telemetry.ts";

function traced(uri: string, more: wire.HttpTracing = {}): unknown {
  const typedConfig = pack(OpenTelemetryConfig, {
    httpService: { httpUri: { uri, cluster: "collector" } },
  });
  return decodeTelemetry({ tracing: { provider: { typedConfig }, ...more } }, "manager").tracing;
}

describe("what another control plane says of telemetry", () => {
  test("names all traces where it names no share, and a collector by its URL", () => {
    const known = { cluster: "collector", host: "otel:4318", service: "unknown_service" };
    assert.deepEqual(traced("http://otel:4318/v1/traces"), {
      ...{ ...known, path: "/v1/traces", percent: 100 },
    });
    assert.deepEqual(traced("http://otel:4318", { randomSampling: { value: 5 } }), {
      ...{ ...known, path: "/", percent: 5 },
    });
  });

  test("may be a log on standard output", () => {
    const accessLog = [{ typedConfig: pack(StdoutAccessLog, {}) }];
    assert.deepEqual(decodeTelemetry({ accessLog }, "manager"), { accessLog: true });
  });

  test("is passed over where it asks for what is not there, and traffic goes on", () => {
    const typedConfig = { typeUrl: "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig" };
    const asked = { accessLog: [{ typedConfig }], tracing: { provider: { typedConfig } } };
    assert.deepEqual(decodeTelemetry(asked, "manager"), {});
    assert.equal(traced("unix:/collector"), undefined);
  });
});
