import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hrefOf, parseRoute, type Route } from "./route.ts";

describe("an address", () => {
  const service = { namespace: "shop", name: "web" };
  const routes: readonly Route[] = [
    { page: "graph" },
    { page: "graph", selected: "shop/web shop/cart http" },
    { page: "services" },
    { page: "service", service, endpoint: "shop/web-1", seconds: 900 },
    { page: "nodes", node: "node-1" },
    { page: "forecast", service, rps: "x2", replicas: "3" },
  ];
  for (const route of routes) {
    test(`leads back to where it was taken: ${hrefOf(route)}`, () => {
      assert.deepEqual(parseRoute(hrefOf(route)), route);
    });
  }

  test("that means nothing leads to the graph, however broken", () => {
    for (const text of ["", "#", "#/", "#/%E0%A4%A", "#/services/%zz/x?seconds=-1", "#token="]) {
      assert.ok(parseRoute(text).page);
    }
    assert.deepEqual(parseRoute("#/nonsense"), { page: "graph" });
  });
});
