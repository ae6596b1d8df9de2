/** Istio's own tables of valid and invalid objects, where they lie beside the checkout. */

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { renderIssue } from "./issue.ts";
import { manifestIssues, parseManifests, renderManifestIssue } from "./manifest.ts";
import { validateObject } from "./object.ts";

const shared = fileURLToPath(new URL("../../../../shared/", import.meta.url));
const absent = (folder: string) =>
  existsSync(shared + folder) ? false : `needs ../shared/${folder} beside the checkout`;

interface Table {
  readonly test: string;
  readonly object: string | null;
  readonly cases: readonly Readonly<Record<string, unknown>>[];
}

/** What a table's values are: the kind and spec that hold one. */
const holders: Readonly<Record<string, (value: never) => [kind: string, spec: unknown]>> = {
  "VirtualService.http[].corsPolicy": (corsPolicy) => route({ route: [cart], corsPolicy }),
  "VirtualService.http[].fault.abort": (abort) => route({ route: [cart], fault: { abort } }),
  "VirtualService.http[].fault.delay": (delay) => route({ route: [cart], fault: { delay } }),
  "VirtualService.http[].retries": (retries) => route({ route: [cart], retries }),
  "VirtualService.http[].rewrite": (rewrite) => route({ route: [cart], rewrite }),
  "VirtualService.http[].redirect": (redirect) =>
    redirect === null ? route({ route: [cart] }) : route({ redirect }),
  "VirtualService.http[].directResponse": (directResponse) => route({ directResponse }),
  Destination: (destination) => route({ route: [{ destination }] }),
  "VirtualService.http[]": route,
  "VirtualService.http[] (root)": route,
  "VirtualService.http[] (delegate)": route,
  "VirtualService.tcp/tls[].route[]": (destinations) => [
    "VirtualService",
    { hosts: ["cart"], tcp: [{ route: destinations }] },
  ],
  "VirtualService spec": (spec) => ["VirtualService", spec],
  "VirtualService spec (delegate)": (spec) => ["VirtualService", spec],
  "DestinationRule spec": (spec) => ["DestinationRule", spec],
  "DestinationRule.trafficPolicy": (trafficPolicy) => rule(trafficPolicy),
  "trafficPolicy.connectionPool": (connectionPool) => rule({ connectionPool }),
  "trafficPolicy.loadBalancer": (loadBalancer) => rule({ loadBalancer }),
  "trafficPolicy.outlierDetection": (outlierDetection) => rule({ outlierDetection }),
  "AuthorizationPolicy spec": (spec) => ["AuthorizationPolicy", spec],
  "PeerAuthentication spec": (spec) => ["PeerAuthentication", spec],
  "ServiceEntry spec": (spec) => ["ServiceEntry", spec],
  "WorkloadEntry spec": (spec) => ["WorkloadEntry", spec],
  "Sidecar spec": (spec) => ["Sidecar", spec],
  "Telemetry spec": (spec) => ["Telemetry", spec],
};

/** Cases that Heddle answers otherwise, each with its reason. */
const leftOut: Readonly<Record<string, string>> = {
  "bad max age": "fractions of a millisecond are refused by Envoy's limits, not ours",
  "invalid connection pool, bad connect timeout": "as above",
  "invalid connection pool, bad idle timeout": "as above",
  "dry-run-invalid-value": "the annotation is not acted upon yet",
};

const cart = { destination: { host: "cart" } };

function route(http: unknown): [string, unknown] {
  return ["VirtualService", { hosts: ["cart"], http: [http] }];
}

function rule(trafficPolicy: unknown): [string, unknown] {
  return ["DestinationRule", { host: "cart", trafficPolicy }];
}

const apiVersions: Readonly<Record<string, string>> = {
  VirtualService: "networking.istio.io/v1",
  DestinationRule: "networking.istio.io/v1",
  ServiceEntry: "networking.istio.io/v1",
  WorkloadEntry: "networking.istio.io/v1",
  Sidecar: "networking.istio.io/v1",
  Telemetry: "telemetry.istio.io/v1",
  AuthorizationPolicy: "security.istio.io/v1",
  PeerAuthentication: "security.istio.io/v1",
};

describe("Istio's validation table", { skip: absent("conformance/istio-validation") }, () => {
  const path = `${shared}conformance/istio-validation/cases.json`;
  const tables: Table[] = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : [];
  for (const table of tables) {
    const holder = holders[table.object ?? ""];
    if (holder === undefined) continue;
    test(`${table.test} agrees`, () => {
      for (const one of table.cases) {
        if (one["unresolved"] === true || leftOut[String(one["name"])] !== undefined) continue;
        const value = ["in", "route", "routes", "redirect", "directResponse", "destination"]
          .map((key) => one[key])
          .find((candidate) => candidate !== undefined);
        const [kind, spec] = holder(value as never);
        const metadata = { name: "case", namespace: "default", annotations: one["annotations"] };
        const issues = validateObject({ apiVersion: apiVersions[kind], kind, metadata, spec });
        const errors = issues.filter(({ severity }) => severity === "error").map(renderIssue);
        const isValid = one["valid"] ?? one["err"] === "";
        assert.equal(errors.length === 0, isValid, `${one["name"]}: ${errors.join("; ")}`);
      }
    });
  }
});

describe("Istio's table of locality settings", {
  skip: absent("conformance/istio-validation"),
}, () => {
  test("agrees", () => {
    const path = `${shared}conformance/istio-validation/cases.json`;
    const tables: readonly Table[] = JSON.parse(readFileSync(path, "utf8"));
    const table = tables.find((one) => one.test === "TestValidateLocalityLbSetting");
    assert.ok(table !== undefined && table.cases.length > 5);
    for (const { name, in: localityLbSetting, outlier, err, warn } of table.cases) {
      const [kind, spec] = rule({ loadBalancer: { localityLbSetting }, outlierDetection: outlier });
      const metadata = { name: "case", namespace: "default" };
      const issues = validateObject({ apiVersion: apiVersions[kind], kind, metadata, spec });
      const has = (severity: string) => issues.some((issue) => issue.severity === severity);
      assert.deepEqual(
        [has("error"), has("warning")],
        [err, warn],
        `${name}: ${issues.map(renderIssue).join("; ")}`,
      );
    }
  });
});

describe("Istio's custom resources", { skip: absent("conformance/istio-api-crd-tests") }, () => {
  const folder = `${shared}conformance/istio-api-crd-tests/`;
  for (const file of [
    "authz",
    "destinationrule",
    "peerauth",
    "serviceentry",
    "telemetry",
    "workloadentry",
  ]) {
    for (const outcome of ["valid", "invalid"]) {
      test(`${file} has ${outcome} ones that are ${outcome}`, () => {
        const text = readFileSync(`${folder}${file}-${outcome}.yaml`, "utf8");
        // In YAML 1.2 this bare address is a map.
        for (const document of parseAllDocuments(text.replace("001:db8::", '"001:db8::"'))) {
          const { _err, ...object } = (document.toJS() ?? {}) as Readonly<Record<string, unknown>>;
          if (object["kind"] === undefined) continue;
          // A warning is no refusal: Istio's schemas have none.
          const issues = validateObject(object)
            .filter(({ severity }) => severity === "error")
            .map(renderIssue);
          assert.equal(
            issues.length === 0,
            outcome === "valid",
            `${_err}: ${issues.join("; ")}\n${document}`,
          );
        }
      });
    }
  }
});

describe("published manifests", { skip: absent("samples/bookinfo") }, () => {
  const folder = `${shared}samples/bookinfo/`;
  const files = existsSync(folder)
    ? readdirSync(folder).filter((name) => name.endsWith(".yaml"))
    : [];
  for (const file of files) {
    test(`${file} has no issue`, () => {
      const { objects, issues } = parseManifests(readFileSync(folder + file, "utf8"), file);
      assert.deepEqual(issues.map(renderManifestIssue), []);
      assert.ok(objects.length > 0);
      assert.deepEqual(objects.flatMap(manifestIssues).map(renderManifestIssue), []);
    });
  }
});
