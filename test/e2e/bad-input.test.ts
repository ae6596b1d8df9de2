/** What users get wrong: an error that names file, line or path, what was found and what is wanted; nothing else moves. */

import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { heddle, skipWithoutRoot, startLab, type TestLab } from "../lab.ts";

const good = `
apiVersion: v1
kind: Service
metadata: { name: innocent }
spec: { ports: [{ port: 80 }] }
---
`;

/** Manifest text, and what the error must say besides the file's name. */
const cases: readonly (readonly [title: string, manifest: string, ...says: RegExp[]])[] = [
  ["malformed YAML", `${good}kind: Service\n  metadata: [`, /:[78](:\d+)?\b/],
  [
    "an unknown kind",
    `${good}apiVersion: v1\nkind: Servise\nmetadata: { name: x }\n`,
    /Servise/,
    /Service/,
  ],
  [
    "weights that do not add up",
    `${good}apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: x }
spec:
  hosts: [x]
  http:
    - route:
        - { destination: { host: x, subset: a }, weight: 70 }
        - { destination: { host: x, subset: b }, weight: 20 }
`,
    /spec\.http\[0\]\.route/,
    /100/,
    /90/,
  ],
  [
    "a selector with an unknown operator",
    `${good}apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: x }
spec:
  podSelector: { matchExpressions: [{ key: app, operator: Is, values: [x] }] }
`,
    /spec\.podSelector\.matchExpressions\[0\]\.operator/,
    /In, NotIn, Exists, DoesNotExist/,
    /"Is"/,
  ],
  [
    "a Service port out of range",
    `${good}apiVersion: v1
kind: Service
metadata: { name: x }
spec: { ports: [{ port: 70000 }] }
`,
    /spec\.ports\[0\]\.port/,
    /65535/,
    /70000/,
  ],
];

describe("bad input", { skip: skipWithoutRoot }, () => {
  let lab: TestLab;
  let folder: string;
  before(async () => {
    folder = await mkdtemp("/tmp/heddle-bad-");
    const file = join(folder, "empty.yaml");
    await writeFile(file, "apiVersion: v1\nkind: Namespace\nmetadata: { name: quiet }\n");
    lab = await startLab({ files: [file] });
  });
  after(async () => {
    await lab?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  for (const [title, manifest, ...says] of cases) {
    test(`${title} is refused by apply, and nothing of the file is applied`, async () => {
      const file = join(folder, "bad.yaml");
      await writeFile(file, manifest);
      const { code, stderr } = await lab.run("apply", file);
      assert.notEqual(code, 0);
      assert.match(stderr, /bad\.yaml/);
      for (const pattern of says) assert.match(stderr, pattern);
      assert.doesNotMatch(stderr, /\n\s+at /, "no stack trace");
      const left = await lab.connection.client.get("Service", "default", "innocent");
      assert.equal(left, undefined);
    });
  }

  test("in the files of `lab up` is refused before anything is made", async () => {
    const file = join(folder, "up.yaml");
    await writeFile(file, `${good}kind: Service\n  metadata: [`);
    const { code, stderr } = await heddle(["lab", "up", "--name", "never", file], folder);
    assert.notEqual(code, 0);
    assert.match(stderr, /up\.yaml/);
  });

  test("an image that nobody knows ends `lab up --detach` with its name and what helps", async () => {
    const file = join(folder, "image.yaml");
    await writeFile(file, podOf("nobody/knows:1"));
    const base = await mkdtemp("/tmp/heddle-");
    await chmod(base, 0o711);
    const name = `img${process.pid}`;
    const { code, stderr } = await heddle(["lab", "up", "--detach", "--name", name, file], base);
    assert.notEqual(code, 0);
    assert.match(stderr, /nobody\/knows:1/);
    assert.match(stderr, /--images/);
    await heddle(["lab", "down", "--name", name], base);
    await rm(base, { recursive: true });
  });

  test("a second lab under the same name is told of the first, which goes on", async () => {
    const { code, stderr } = await lab.run("up", "--detach");
    assert.notEqual(code, 0);
    assert.match(stderr, new RegExp(lab.name));
    assert.match(stderr, /lab down/);
    const { nodes } = await lab.status();
    assert.ok(nodes.every(({ ready }) => ready));
  });
});

function podOf(image: string): string {
  return `
apiVersion: v1
kind: Pod
metadata: { name: one }
spec:
  containers: [{ name: one, image: "${image}" }]
`;
}
