/** What an explanation says where calls of gRPC-Web become calls of gRPC. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { deployedWorld } from "../../../test/worlds/deployed.ts";
import type { World } from "../registry/world.ts";
import { explain } from "./explain.ts";

const pods = ["web", "till"].map(
  (name) => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: shop, labels: { app: ${name} } }
spec: { containers: [{ name: main, image: any }] }
`,
);
const till = (port: string): string => `
apiVersion: v1
kind: Service
metadata: { name: till, namespace: shop }
spec: { selector: { app: till }, ports: [{ name: ${port}, port: 9090 }] }
`;

function saying(world: World): readonly string[] {
  const { steps, branches } = explain(world, { source: "web", destination: "till", port: 9090 });
  return [...steps, ...(branches[0]?.steps ?? [])].flatMap(({ step, detail }) =>
    detail.includes("calls of gRPC-Web become calls of gRPC") ? [step] : [],
  );
}

test("the caller's sidecar and the destination's are said to translate gRPC-Web", () => {
  assert.deepEqual(saying(deployedWorld("shop", [...pods, till("grpc-web")])), [
    "listener",
    "peer authentication",
  ]);
  assert.deepEqual(saying(deployedWorld("shop", [...pods, till("grpc")])), []);
});
