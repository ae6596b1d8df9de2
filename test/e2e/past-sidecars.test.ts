/** What annotations of pods leave out of capture: it goes past sidecars, and everything else through them. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { skipWithoutRoot, startLab, type TestLab } from "../lab.ts";

const pod = (name: string, metadata: string, container: string): string => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: shop, labels: { app: ${name} }, ${metadata} }
spec: { containers: [{ name: main, ${container} }] }
`;
const service = (name: string): string => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec:
  selector: { app: ${name} }
  ports: [{ name: http, port: 80, targetPort: 8080 }, { name: http-side, port: 81, targetPort: 9090 }]
`;
const echo = `image: "heddle.dev/echo-service:1", env: [{ name: PORTS, value: "8080,9090" }]`;
const curl = `image: "curlimages/curl:8.16.0", command: [sleep, infinity]`;
const annotated = (name: string, value: string): string =>
  `annotations: { traffic.sidecar.istio.io/${name}: "${value}" }`;

const manifests = [
  "apiVersion: v1\nkind: Namespace\nmetadata: { name: shop }\n",
  `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: shop }
spec: { mtls: { mode: STRICT } }
`,
  pod("half", annotated("excludeInboundPorts", "9090"), echo),
  service("half"),
  pod("plain", 'annotations: { sidecar.istio.io/inject: "false" }', echo),
  service("plain"),
  pod("client", annotated("excludeOutboundPorts", "81"), curl),
  pod("meshed", "", curl),
  pod("bare", 'annotations: { sidecar.istio.io/inject: "false" }', curl),
].join("---\n");

describe("annotations about capture", { skip: skipWithoutRoot }, () => {
  let lab: TestLab;
  before(async () => {
    lab = await startLab({ nodes: 1, files: ["examples/shop/namespaces.yaml"] });
    const file = join(lab.base, "capture.yaml");
    await writeFile(file, manifests);
    await lab.must("apply", file);
    await lab.until("all pods are ready", async () => {
      const { pods } = await lab.status();
      return pods.length === 5 && pods.every(({ ready }) => ready);
    });
  });
  after(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  /** Whether some sidecar had the request in hand: each gives it an id. */
  async function way(from: string, url: string): Promise<string> {
    const { status, body } = await lab.request(from, url);
    assert.equal(status, 200, body);
    return JSON.parse(body).headers["x-request-id"] === undefined ? "past" : "through";
  }

  test("leave out ports that a pod calls, and no others", async () => {
    assert.equal(await way("client", "http://plain:81/"), "past");
    assert.equal(await way("client", "http://plain/"), "through");
    assert.equal(await way("meshed", "http://plain:81/"), "through");
  });

  test("leave out ports at which a pod is called, which callers in the mesh then call in the clear", async () => {
    assert.equal(await way("bare", "http://half:81/"), "past");
    assert.equal(await way("client", "http://half:81/"), "past");
    assert.equal(await way("meshed", "http://half:81/"), "through"); // its own sidecar alone
    assert.equal(await way("meshed", "http://half/"), "through");
    const refused = await lab.curl("bare", "http://half/");
    assert.notEqual(refused.code, 0, "the other port is mesh TLS alone");
  });

  test("that are no lists are refused", async () => {
    const file = join(lab.base, "wrong.yaml");
    await writeFile(file, pod("wrong", annotated("excludeInboundPorts", "9090;91"), curl));
    const { code, stderr } = await lab.run("apply", file);
    assert.equal(code, 1);
    assert.match(stderr, /excludeInboundPorts"\]: must be a list of ports such as 3306,6379, got/);
  });
});
