/**
 * A DestinationRule's health check (an annotation: docs/adr/0007) for the ports that it can be asked at.
 *
 * A probe by HTTP is for ports that may speak HTTP, one by gRPC for those that are declared as HTTP/2; bytes fit all.
 * Jitter keeps a deployment's sidecars from asking in step. A cluster that a sidecar has not used is checked once a
 * minute.
 */

import { healthCheckOf, type ServiceProbe } from "../../api/heddle/traffic-annotations.ts";
import { healthCheckField } from "../../model/names.ts";
import type { HealthCheck, HealthProbe } from "../../model/proxy-config.ts";
import { mayAdmit } from "./check-admission.ts";
import type { ClientRule } from "./destination-rules.ts";
import { type PortProtocol, speaksHttp2 } from "./protocol.ts";

/** Undefined: nobody asks for one, or it does not fit the port. `namespace`: the Service's. */
export function healthCheckFor(
  rule: ClientRule | undefined,
  protocol: PortProtocol,
  namespace: string,
): HealthCheck | undefined {
  const asking = rule?.from.find((one) => healthCheckOf(one) !== undefined);
  const asked = asking && healthCheckOf(asking);
  if (asking === undefined || asked === undefined) return undefined;
  const probe = probeAt(asked, protocol, mayAdmit(asking, namespace) ? admitted : []);
  if (probe === undefined) return undefined;
  const intervalMs = (asked.periodSeconds ?? 10) * 1_000;
  return {
    probe,
    intervalMs,
    timeoutMs: (asked.timeoutSeconds ?? 1) * 1_000,
    healthyThreshold: asked.successThreshold ?? 1,
    unhealthyThreshold: asked.failureThreshold ?? 3,
    initialJitterMs: Math.min(intervalMs, 1_000),
    jitterPercent: 10,
  };
}

type Headers = readonly (readonly [name: string, value: string])[];

/**
 * What has the other side's policies let it pass. A caller's own rule gets none: it says how to ask, for what, as whom.
 */
const admitted: Headers = [[healthCheckField, "1"]];

function isHost(name: string): boolean {
  return name.toLowerCase() === "host";
}

function probeAt(
  { httpGet, grpc, tcpSocket }: ServiceProbe,
  protocol: PortProtocol,
  admission: Headers,
): HealthProbe | undefined {
  if (httpGet !== undefined && protocol !== "tcp") {
    const { path = "/", httpHeaders = [] } = httpGet;
    // As with Kubernetes, where the field is whom to connect to.
    const host = httpHeaders.find(({ name }) => isHost(name))?.value ?? httpGet.host;
    return {
      kind: "http",
      path,
      ...(host === undefined ? {} : { host }),
      method: "GET",
      headers: [
        ...admission,
        ...httpHeaders
          .filter(({ name }) => !isHost(name) && name.toLowerCase() !== healthCheckField)
          .map(({ name, value }) => [name, value] as const),
      ],
      // Kubernetes': 200 to 399 are well, everything else counts towards the threshold.
      expected: [{ from: 200, to: 399 }],
      retriable: [
        { from: 100, to: 199 },
        { from: 400, to: 599 },
      ],
    };
  }
  if (grpc !== undefined && speaksHttp2(protocol)) {
    return { kind: "grpc", service: grpc.service ?? "", headers: admission };
  }
  return tcpSocket === undefined ? undefined : { kind: "tcp", send: "", receive: [] };
}
