import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { renderDrop } from "../../core/dataplane/names.ts";
import { viewFor } from "../../core/registry/view.ts";
import { worldOf } from "../../core/registry/world.ts";
import type { LoggedPacket } from "../../wire/netlink/nflog.ts";
import { countDrops } from "./drops.ts";

const view = viewFor(
  worldOf([
    { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } },
    pod("web", "10.244.0.1"),
    pod("cart", "10.244.0.2"),
    {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { namespace: "shop", name: "deny" },
      spec: { podSelector: { matchLabels: { app: "cart" } }, policyTypes: ["Ingress"] },
    } as never,
  ]),
  "node-1",
);

function pod(name: string, podIP: string) {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "shop", name, labels: { app: name } },
    spec: { nodeName: "node-1", containers: [] },
    status: { phase: "Running", podIP },
  };
}

function packet(prefix: string, more: Partial<LoggedPacket> = {}): LoggedPacket {
  const ends = { source: "10.244.0.1", destination: "10.244.0.2" };
  return { prefix, ...ends, protocol: "tcp", port: 8080, ...more };
}

describe("refused packets", () => {
  const identity = view.workloads.find(({ name }) => name === "cart")?.identity ?? 0;
  const denied = renderDrop({ kind: "policy", direction: "ingress", identity });

  test("are counted by who they were between, with the policies to blame", () => {
    const drops = countDrops([packet(denied), packet(denied), packet("ulogd: of others")], view);
    assert.deepEqual(drops, [
      {
        source: "shop/web",
        destination: "shop/cart",
        port: 8080,
        protocol: "tcp",
        direction: "ingress",
        reason: "no rule allows it, isolated for ingress by NetworkPolicy shop/deny",
        policies: ["shop/deny"],
        packets: 2,
      },
    ]);
  });

  test("keep their addresses where no pod has them, and say what admission minded", () => {
    const spoofed = renderDrop({ kind: "admission", reason: "spoofed-source" });
    const [drop] = countDrops([packet(spoofed, { source: "192.0.2.9" })], view);
    assert.deepEqual(
      [drop?.source, drop?.reason],
      ["192.0.2.9", "its source address is not the pod's"],
    );
    const unknown = renderDrop({ kind: "policy", direction: "egress" });
    assert.match(
      countDrops([packet(unknown)], undefined)[0]?.reason ?? "",
      /does not know the pod/,
    );
  });

  test("of a port scan are so many kinds and one for the rest", () => {
    const scan = Array.from({ length: 1_000 }, (_, port) => packet(denied, { port }));
    const drops = countDrops(scan, view);
    assert.equal(drops.length, 251);
    assert.equal(drops.at(-1)?.source, "overflow");
    assert.equal(
      drops.reduce((sum, { packets }) => sum + packets, 0),
      1_000,
    );
  });
});
