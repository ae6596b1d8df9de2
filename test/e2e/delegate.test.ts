/** A VirtualService that delegates to another: what clients in the mesh and outside get while the other changes. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Service } from "../../src/api/k8s/core.ts";
import { runCommand } from "../../src/lab/command.ts";
import { controlNetns } from "../../src/lab/names.ts";
import { heddle, skipWithoutRoot, startLab, type TestLab } from "../lab.ts";

const delegate = (rules: string): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: pages, namespace: team }
spec: { http: [${rules}] }
`;
const toPages = "{ route: [{ destination: { host: pages } }] }";
const missing =
  "HEDDLE0118 VirtualService platform/site spec.http[0].delegate: there is no VirtualService team/pages: the rule is left out";

describe("a site whose routes a team keeps", { skip: skipWithoutRoot }, () => {
  let lab: TestLab;
  let address: string;

  before(async () => {
    const files = ["test/e2e/manifests/delegate.yaml", "examples/ingress-gateway"];
    lab = await startLab({ files, nodes: 1 });
    address = await lab.until("the gateway has an address", async () => {
      const name = "istio-ingressgateway";
      const service = await lab.connection.client.get<Service>("Service", "istio-system", name);
      return service?.status?.loadBalancer?.ingress?.[0]?.ip;
    });
    const [node] = (await lab.status()).nodes;
    const route = ["route", "add", address, "via", node?.address ?? ""];
    await runCommand(["ip", "-netns", controlNetns(lab.name), ...route]);
  });
  after(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  /** `200 pages delegated`: of a request by the sidecar, and of one by the gateway. */
  async function ask(path: string): Promise<readonly string[]> {
    const inside = await lab.request("visitor", `http://site${path}`);
    const outside = await runCommand([
      ...["ip", "netns", "exec", controlNetns(lab.name), "curl", "--silent", "--max-time", "10"],
      ...["-w", "\n%{http_code}", "-H", "host: site.example", `http://${address}${path}`],
    ]);
    const end = outside.stdout.lastIndexOf("\n");
    return [
      seen(inside.status, inside.body),
      seen(Number(outside.stdout.slice(end)), outside.stdout.slice(0, end)),
    ];
  }

  /** What the command warns of, lines of it. */
  async function told(command: "apply" | "delete", yaml: string): Promise<readonly string[]> {
    const file = join(lab.base, "delegate.yaml");
    await writeFile(file, yaml);
    const { code, stderr } = await lab.run(command, file);
    assert.equal(code, 0, stderr);
    return stderr
      .trim()
      .split("\n")
      .filter((line) => line !== "");
  }

  const check = () => heddle(["check", "mesh", "--lab", lab.name], lab.base);

  test("answers by its other rules while the team has none, and says what is missing", async () => {
    assert.deepEqual(await ask("/pages/1"), ["200 site", "200 site"]);
    const { code, stdout } = await check();
    assert.equal(code, 1);
    assert.match(stdout, /^✗ HEDDLE0118 VirtualService platform\/site spec\.http\[0\]\.delegate: /);
    assert.ok(stdout.includes(missing), stdout);
  });

  test("has the team's rules as soon as they are there, in the mesh and at the gateway", async () => {
    assert.deepEqual(await told("apply", delegate(toPages)), []);
    assert.deepEqual(await ask("/pages/1"), ["200 pages delegated", "200 pages delegated"]);
    assert.deepEqual(await ask("/other"), ["200 site", "200 site"]);
    const { code, stdout } = await check();
    assert.equal(code, 0, stdout);
  });

  test("follows when the team changes them, within what it is given", async () => {
    const rules = [
      "{ match: [{ uri: { exact: /pages/tea } }], directResponse: { status: 418 } }",
      "{ match: [{ uri: { prefix: /admin } }], directResponse: { status: 410 } }",
      toPages,
    ];
    const [warned, ...more] = await told("apply", delegate(rules.join(", ")));
    assert.equal(
      warned,
      "warning: HEDDLE0119 VirtualService platform/site spec.http[0].delegate: VirtualService team/pages asks for more than the rule gives it, and what does so is left out: spec.http[1] by match[0].uri",
    );
    assert.deepEqual(more, []);
    assert.deepEqual(await ask("/pages/tea"), ["418", "418"]);
    assert.deepEqual(await ask("/pages/1"), ["200 pages delegated", "200 pages delegated"]);
    assert.deepEqual(await ask("/admin"), ["200 site", "200 site"]);
  });

  test("is explained with both objects", async () => {
    const words = ["explain", "visitor", "site.platform", "--lab", lab.name];
    const { stdout } = await heddle([...words, "--path", "/pages/tea", "-n", "platform"], lab.base);
    assert.match(stdout, /VirtualService platform\/site spec\.http\[0\]/);
    assert.match(stdout, /VirtualService team\/pages spec\.http\[0\]/);
  });

  test("falls back when they are gone, and whoever deletes them is told", async () => {
    assert.deepEqual(await told("delete", delegate(toPages)), [`warning: ${missing}`]);
    assert.deepEqual(await ask("/pages/tea"), ["200 site", "200 site"]);
  });
});

function seen(status: number, body: string): string {
  if (status !== 200) return `${status}`;
  const { service, headers } = JSON.parse(body) as {
    readonly service: string;
    readonly headers: Readonly<Record<string, string>>;
  };
  return [status, service, headers["x-way"]].filter((word) => word !== undefined).join(" ");
}
