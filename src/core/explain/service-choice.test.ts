import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseAllDocuments } from "yaml";
import type { Resource } from "../../api/resource.ts";
import { worldOf } from "../registry/world.ts";
import { explain } from "./explain.ts";

/** A pod without a sidecar on node one, and Services of which it asks. */
const base = `
apiVersion: v1
kind: Node
metadata: { name: one }
status: { addresses: [{ type: InternalIP, address: 192.0.2.1 }] }
---
apiVersion: v1
kind: Pod
metadata: { namespace: shop, name: client, uid: c, labels: { sidecar.istio.io/inject: "false" } }
spec: { nodeName: one, containers: [{ name: main, image: any }] }
status: { phase: Running, podIP: 10.244.0.1 }
`;

function service(spec: string, endpoints: string, status = ""): string {
  return `---
apiVersion: v1
kind: Service
metadata: { namespace: shop, name: web }
spec: { clusterIP: 10.96.0.10, ports: [{ port: 80, nodePort: 30080 }], ${spec} }
${status}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { namespace: shop, name: web, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [{ port: 8080 }]
endpoints: [${endpoints}]
`;
}

const near = "{ addresses: [10.244.0.2], nodeName: one }";
const far = "{ addresses: [10.244.0.66], nodeName: two }";

function ask(yaml: string, destination: string, port: number) {
  const objects = parseAllDocuments(base + yaml).map((each) => each.toJS() as Resource);
  const { steps, verdict } = explain(worldOf(objects), {
    source: "shop/client",
    destination,
    port,
    protocol: "tcp",
  });
  const step = steps.find((each) => each.step === "service");
  return { detail: step?.detail ?? "", by: step?.by ?? [], sentence: verdict.sentence };
}

describe("explaining a Service's address", () => {
  test("says that only the client's node counts, and that others have what it lacks", () => {
    const local = "internalTrafficPolicy: Local";
    assert.match(
      ask(service(local, `${near}, ${far}`), "web.shop", 80).detail,
      /one of 1 endpoints on one/,
    );
    const { sentence, by } = ask(service(local, far), "web.shop", 80);
    assert.match(
      sentence,
      /times out: .*wants endpoints on the client's own node, and one has none \(two has\)/,
    );
    assert.equal(by[0]?.path, "spec.internalTrafficPolicy");
  });

  test("knows node ports, external and load balancer addresses, and who may use them", () => {
    const status = "status: { loadBalancer: { ingress: [{ ip: 198.51.100.1 }] } }";
    const open = service("externalIPs: [198.51.100.2]", `${near}, ${far}`, status);
    for (const [address, port] of [
      ["192.0.2.1", 30080],
      ["198.51.100.1", 80],
      ["198.51.100.2", 80],
    ] as const) {
      assert.match(ask(open, address, port).detail, /one of 2 endpoints at random/, address);
    }
    const shut = service("loadBalancerSourceRanges: [192.0.2.0/24]", near, status);
    assert.match(
      ask(shut, "198.51.100.1", 80).sentence,
      /times out: 10\.244\.0\.1 is in none of the ranges that may use 198\.51\.100\.1: 192\.0\.2\.0\/24/,
    );
    assert.match(ask(shut, "10.96.0.10", 80).detail, /one of 1 endpoints/);
  });

  test("says how an endpoint is chosen: by time, by weight, by hash", () => {
    const sticky = ask(service("sessionAffinity: ClientIP", near), "web.shop", 80);
    assert.match(sticky.detail, /at random and stays with it for 10800 s/);
    const yaml = service("type: ClusterIP", `${near}, ${far}`);
    const weighted = yaml.replace(
      "name: web, labels",
      'name: web, annotations: { heddle.dev/weights: "10.244.0.2=3" }, labels',
    );
    assert.match(ask(weighted, "web.shop", 80).detail, /at random by weight/);
    const hashed = yaml.replace(
      "name: web }",
      "name: web, annotations: { heddle.dev/load-balancing: maglev } }",
    );
    assert.match(ask(hashed, "web.shop", 80).detail, /by a hash of the client/);
  });
});
