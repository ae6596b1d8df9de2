/** What is explained of routes that one VirtualService delegates to another. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { shopWorld } from "../../../test/worlds/deployed.ts";
import { explain } from "./explain.ts";
import type { Explanation, Question } from "./explanation.ts";
import { renderDecider, renderDifference } from "./verdict.ts";

const window = `
apiVersion: v1
kind: Service
metadata: { name: window, namespace: outside }
spec: { selector: { app: nobody }, ports: [{ name: http, port: 80 }] }
`;
const root = (http: string): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: window, namespace: outside }
spec: { hosts: [window], http: [${http}] }
`;
const pages = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: pages, namespace: shop }
spec:
  http:
    - match: [{ uri: { exact: /pages/tea } }]
      directResponse: { status: 418 }
    - match: [{ headers: { shelf: { exact: a } } }]
      route: [{ destination: { host: catalogue, subset: v1 } }]
`;
const delegating =
  "{ match: [{ method: { exact: GET }, uri: { prefix: /pages } }], delegate: { name: pages, namespace: shop } }";

function asked(
  path: string,
  objects: readonly string[],
  more: Partial<Question> = {},
): Explanation {
  const world = shopWorld(window, ...objects);
  return explain(world, { source: "outsider", destination: "window", path, ...more });
}

function routeOf({ steps }: Explanation): readonly string[] {
  const step = steps.find((one) => one.step === "route");
  return [step?.detail ?? "", ...(step?.by ?? []).map(renderDecider)];
}

describe("a delegated route", () => {
  test("is explained with both VirtualServices, and with the fields of either that do not fit", () => {
    const explained = asked("/pages", [root(delegating), pages], { headers: { shelf: "a" } });
    assert.deepEqual(routeOf(explained), [
      'spec.http[0] by spec.http[1] of VirtualService shop/pages takes GET /pages; not VirtualService shop/pages spec.http[0].match[0].uri: have /pages, want exact "/pages/tea"',
      "VirtualService outside/window spec.http[0]",
      "VirtualService shop/pages spec.http[1]",
    ]);
    const [cluster] = explained.branches[0]?.steps.filter(({ step }) => step === "cluster") ?? [];
    assert.deepEqual(cluster?.by.map(renderDecider), [
      "VirtualService shop/pages spec.http[1].route[0].destination",
      "DestinationRule shop/catalogue spec.subsets[0]",
    ]);
  });

  test("that takes nothing is a miss of the root's field or of the delegate's", () => {
    const { verdict } = asked("/pages", [root(delegating), pages]);
    assert.ok(verdict.outcome === "refused" && verdict.nearest !== undefined);
    assert.equal(renderDecider(verdict.nearest.rule), "VirtualService shop/pages spec.http[0]");
    const posted = asked("/pages/tea", [root(delegating), pages], { method: "POST" }).verdict;
    assert.ok(posted.outcome === "refused");
    assert.deepEqual(posted.nearest?.differences.map(renderDifference), [
      'VirtualService outside/window spec.http[0].match[0].method: have POST, want exact "GET"',
    ]);
  });
});

describe("a fault in a delegated route", () => {
  test("is the delegate's where it is written there, and else the root's", () => {
    const fault = "fault: { abort: { httpStatus: 503, percentage: { value: 100 } } }";
    const decided = (inRoot: string, inDelegate: string): readonly string[] => {
      const handing = delegating.replace("delegate:", `${inRoot} delegate:`);
      const handed = pages.replace("route:", `${inDelegate}\n      route:`);
      const { branches } = asked("/pages", [root(handing), handed], { headers: { shelf: "a" } });
      return branches.flatMap(({ steps }) => steps.flatMap(({ by }) => by.map(renderDecider)));
    };
    assert.deepEqual(decided("", fault), ["VirtualService shop/pages spec.http[1].fault.abort"]);
    assert.deepEqual(decided(`${fault},`, ""), [
      "VirtualService outside/window spec.http[0].fault.abort",
    ]);
  });
});

test("a fault comes before what a route answers by itself", () => {
  const fault = "fault: { abort: { httpStatus: 503, percentage: { value: 100 } } }";
  for (const action of ["directResponse: { status: 418 }", "redirect: { uri: /x }"]) {
    const { verdict } = asked("/", [root(`{ ${fault}, ${action} }`)]);
    assert.ok(verdict.outcome === "answered");
    assert.equal(verdict.status, 503);
  }
});

describe("a delegate that is missing", () => {
  const missing =
    "VirtualService outside/window spec.http[0].delegate: there is no VirtualService shop/pages: the rule is left out";

  test("is named where another rule takes the request, and where none does", () => {
    const answered = asked("/pages", [root(`${delegating}, { directResponse: { status: 418 } }`)]);
    assert.equal(
      routeOf(answered)[0],
      `spec.http[1] takes GET /pages; ${missing}, and answers by itself: 418`,
    );
    const only = "{ match: [{ uri: { exact: /tea } }], directResponse: { status: 418 } }";
    const { verdict } = asked("/pages", [root(`${delegating}, ${only}`)]);
    assert.ok(verdict.outcome === "refused");
    assert.ok(verdict.sentence.endsWith(`takes GET /pages; ${missing}`), verdict.sentence);
  });

  test("is named where it was the only rule, and requests go straight to the Service", () => {
    assert.deepEqual(routeOf(asked("/pages", [root(delegating)])), [
      `VirtualService outside/window has no rule for this caller and port: straight to the Service; ${missing}`,
    ]);
  });
});
