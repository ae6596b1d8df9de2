import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { renderIssue } from "./issue.ts";
import { validateObject } from "./object.ts";

const specs: Readonly<Record<string, unknown>> = {
  DestinationRule: { host: "cart" },
  Service: { ports: [{ port: 80 }] },
  VirtualService: { hosts: ["cart"], http: [{ directResponse: { status: 204 } }] },
};

function issues(kind: string, annotation: string, value: string): readonly string[] {
  const annotations = { [`heddle.dev/${annotation}`]: value };
  const apiVersion = kind === "Service" ? "v1" : "networking.istio.io/v1";
  const metadata = { name: "cart", namespace: "shop", annotations };
  return validateObject({ apiVersion, kind, metadata, spec: specs[kind] }).map(renderIssue);
}

type Case = readonly [kind: string, annotation: string, value: string, issue?: string];

const cases: readonly Case[] = [
  ["DestinationRule", "health-check", '{"httpGet":{"path":"/healthz"},"periodSeconds":5}'],
  ["DestinationRule", "health-check", '{"grpc":{}}'],
  [
    "DestinationRule",
    "health-check",
    "every 5s",
    'metadata.annotations["heddle.dev/health-check"]: must be JSON, got "every 5s"',
  ],
  [
    "DestinationRule",
    "health-check",
    '{"tcpSocket":{},"grpc":{}}',
    'metadata.annotations["heddle.dev/health-check"]: must have exactly one of httpGet, tcpSocket, grpc, got tcpSocket, grpc',
  ],
  [
    "DestinationRule",
    "health-check",
    '{"httpGet":{"path":"healthz"}}',
    'metadata.annotations["heddle.dev/health-check"].httpGet.path: must be a path, got "healthz"',
  ],
  ["DestinationRule", "health-check", '{"httpGet":{"httpHeaders":[{"name":"Host","value":"a"}]}}'],
  [
    "DestinationRule",
    "health-check",
    '{"httpGet":{"httpHeaders":[{"name":"Content-Length","value":"5"}]}}',
    'metadata.annotations["heddle.dev/health-check"].httpGet.httpHeaders[0].name: must be none that frames a request, got "Content-Length"',
  ],
  [
    "DestinationRule",
    "health-check",
    '{"httpGet":{"path":"/"},"periodSeconds":0}',
    'metadata.annotations["heddle.dev/health-check"].periodSeconds: must be 1..3600, got 0',
  ],
  [
    "DestinationRule",
    "health-check",
    '{"httpGet":{"path":"/","port":8080}}',
    'metadata.annotations["heddle.dev/health-check"].httpGet.port: unknown field',
  ],
  [
    "DestinationRule",
    "outlier-detection",
    '{"failurePercentageThreshold":101}',
    'metadata.annotations["heddle.dev/outlier-detection"].failurePercentageThreshold: must be 0..100, got 101',
  ],
  ["VirtualService", "compression", "{}"],
  [
    "VirtualService",
    "compression",
    '{"algorithms":["zstd"]}',
    'metadata.annotations["heddle.dev/compression"].algorithms[0]: must be one of br, gzip, got "zstd"',
  ],
  ["VirtualService", "hedge", '{"hedgingDelay":"50ms"}'],
  ["VirtualService", "hedge", '{"percentile":95,"grpc":true}'],
  [
    "VirtualService",
    "hedge",
    "{}",
    'metadata.annotations["heddle.dev/hedge"]: must have exactly one of hedgingDelay, percentile, got none',
  ],
  [
    "VirtualService",
    "hedge",
    '{"percentile":100}',
    'metadata.annotations["heddle.dev/hedge"].percentile: must be 50..99, got 100',
  ],
  ["Service", "local-rate-limit", '{"requests":100}'],
  ["Service", "global-rate-limit", '{"requests":10}'],
  ["VirtualService", "local-rate-limit", '{"requests":10,"per":"1m","burst":3}'],
  [
    "Service",
    "local-rate-limit",
    '{"requests":0}',
    'metadata.annotations["heddle.dev/local-rate-limit"].requests: must be 1..1000000, got 0',
  ],
  [
    "VirtualService",
    "local-rate-limit",
    '{"per":"1s"}',
    'metadata.annotations["heddle.dev/local-rate-limit"].requests: is required',
  ],
];

describe("an annotation about traffic", () => {
  test("a limit of each pod and one of all are not both given", () => {
    const annotations = {
      "heddle.dev/local-rate-limit": '{"requests":1}',
      "heddle.dev/global-rate-limit": '{"requests":1}',
    };
    const metadata = { name: "cart", namespace: "shop", annotations };
    const service = { apiVersion: "v1", kind: "Service", metadata, spec: specs["Service"] };
    assert.deepEqual(validateObject(service).map(renderIssue), [
      'metadata.annotations["heddle.dev/global-rate-limit"]: must be absent where heddle.dev/local-rate-limit is given',
    ]);
  });

  for (const [kind, annotation, value, issue] of cases) {
    test(`${annotation} of a ${kind}: ${value} ${issue === undefined ? "is fine" : "is refused"}`, () => {
      assert.deepEqual(issues(kind, annotation, value), issue === undefined ? [] : [issue]);
    });
  }
});
