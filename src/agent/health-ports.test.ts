import assert from "node:assert/strict";
import { test } from "node:test";
import { ownPort } from "../../test/own-port.ts";
import { viewFor } from "../core/registry/view.ts";
import { emptyWorld } from "../core/registry/world.ts";
import type { NodeView } from "../model/node-view.ts";
import { until } from "./fake/calls.ts";
import { HealthPorts } from "./health-ports.ts";

const log = { debug() {}, info() {}, warn() {}, error() {}, with: () => log };

function viewWith(port: number, node: string): NodeView {
  const endpoints = [{ address: "10.244.0.1", port: 8080, node }];
  return {
    ...viewFor(emptyWorld(), "one"),
    services: [
      {
        namespace: "shop",
        name: "web",
        clusterIp: "10.96.0.1",
        externalLocal: true,
        healthCheckNodePort: port,
        ports: [{ name: "", protocol: "TCP", port: 80, endpoints }],
      },
    ],
  };
}

test("a health check is 200 while the node has an endpoint, 503 without, and closed once nobody asks for it", async () => {
  const port = await ownPort();
  const health = new HealthPorts(log);
  const ask = () => fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
  try {
    health.show(viewWith(port, "one"));
    const answer = await until(ask);
    assert.equal(answer?.status, 200);
    assert.deepEqual(await answer?.json(), {
      service: { namespace: "shop", name: "web" },
      localEndpoints: 1,
    });
    health.show(viewWith(port, "two"));
    assert.equal((await ask())?.status, 503);
    health.show({ ...viewWith(port, "one"), services: [] });
    assert.equal(await ask(), undefined);
  } finally {
    health.close();
  }
});
