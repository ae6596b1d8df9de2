import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Pod } from "../../api/k8s/core.ts";
import { captureOf, takesInbound, takesOutbound } from "./capture.ts";

/** A pod with these of Istio's annotations, without their prefix. */
function pod(written: Readonly<Record<string, string>>): Pod {
  const annotations = Object.fromEntries(
    Object.entries(written).map(([name, list]) => [`traffic.sidecar.istio.io/${name}`, list]),
  );
  const metadata = { namespace: "shop", name: "web", annotations };
  return { apiVersion: "v1", kind: "Pod", metadata, spec: { containers: [] } };
}

describe("a pod's sidecar", () => {
  test("takes everything where no annotation says otherwise, or one says all or nonsense", () => {
    for (const written of [
      {},
      { includeInboundPorts: "*", includeOutboundIPRanges: "*" },
      { excludeOutboundPorts: "many", excludeOutboundIPRanges: "10.0.0.0/99" },
    ] as readonly Readonly<Record<string, string>>[]) {
      assert.equal(captureOf(pod(written)), undefined);
      assert.ok(takesOutbound(pod(written), "192.0.2.1", 80) && takesInbound(pod(written), 80));
    }
  });

  const outbound: readonly (readonly [
    written: Readonly<Record<string, string>>,
    taken: readonly string[],
    left: readonly string[],
  ])[] = [
    [{ excludeOutboundPorts: "3306, 6379" }, ["10.0.0.1 80"], ["10.0.0.1 3306", "fd00::1 6379"]],
    [
      { excludeOutboundIPRanges: "10.0.0.0/8,fd00::/8" },
      ["192.0.2.1 80", "2001:db8::1 80"],
      ["10.1.2.3 80", "fd00::1 80"],
    ],
    [{ includeOutboundIPRanges: "10.0.0.0/8" }, ["10.1.2.3 80"], ["192.0.2.1 80", "fd00::1 80"]],
    [
      { includeOutboundIPRanges: "10.0.0.0/8", includeOutboundPorts: "443" },
      ["10.1.2.3 80", "192.0.2.1 443"],
      ["192.0.2.1 80"],
    ],
    [{ includeOutboundIPRanges: "" }, [], ["10.1.2.3 80"]],
    [{ includeOutboundPorts: "443" }, ["10.1.2.3 80", "10.1.2.3 443"], []],
    [
      { includeOutboundIPRanges: "10.0.0.0/8", excludeOutboundIPRanges: "10.1.0.0/16" },
      ["10.2.0.1 80"],
      ["10.1.0.1 80"],
    ],
    [
      { includeOutboundIPRanges: "", includeOutboundPorts: "443", excludeOutboundPorts: "443" },
      [],
      ["192.0.2.1 443"],
    ],
  ];
  for (const [written, taken, left] of outbound) {
    test(`with ${JSON.stringify(written)} takes ${taken.join(", ") || "nothing"} of what goes out`, () => {
      const takes = (to: string): boolean => {
        const [address, port] = to.split(" ");
        return takesOutbound(pod(written), address, Number(port));
      };
      assert.deepEqual([...taken, ...left].filter(takes), taken);
    });
  }

  const inbound: readonly (readonly [
    written: Readonly<Record<string, string>>,
    taken: readonly number[],
    left: readonly number[],
  ])[] = [
    [{ excludeInboundPorts: "9090" }, [80], [9090]],
    [{ includeInboundPorts: "80,443" }, [80, 443], [9090]],
    [{ includeInboundPorts: "" }, [], [80]],
    [{ includeInboundPorts: "80,443", excludeInboundPorts: "443" }, [80, 443], []],
    [{ includeInboundPorts: "*", excludeInboundPorts: "443" }, [80], [443]],
  ];
  for (const [written, taken, left] of inbound) {
    test(`with ${JSON.stringify(written)} takes ${taken.join(", ") || "nothing"} of what comes in`, () => {
      const takes = (port: number) => takesInbound(pod(written), port);
      assert.deepEqual([...taken, ...left].filter(takes), taken);
    });
  }

  test("that is not there takes nothing", () => {
    const bare: Pod = {
      ...pod({}),
      metadata: { name: "web", labels: { "sidecar.istio.io/inject": "false" } },
    };
    assert.ok(!takesOutbound(bare, "192.0.2.1", 80) && !takesInbound(bare, 80));
  });
});
