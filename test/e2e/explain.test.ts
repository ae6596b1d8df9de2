/** `heddle explain` and reality are asked the same questions, and must give the same answers. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { present } from "../../src/base/error.ts";
import { explainAnswer } from "../../src/cli/explain.ts";
import type { Explanation, Verdict } from "../../src/core/explain/explanation.ts";
import { heddle, skipWithoutRoot, startLab, type TestLab } from "../lab.ts";

/** What is there beside the shop: Services and routes that lead nowhere, a pod without sidecar, one that is mute. */
const besides = `
apiVersion: v1
kind: Service
metadata: { name: nobody, namespace: outside }
spec: { selector: { app: nobody }, ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: window, namespace: outside }
spec: { selector: { app: nobody }, ports: [{ name: http, port: 80 }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: window, namespace: outside }
spec:
  hosts: [window]
  http:
    - match: [{ uri: { prefix: /shop }, method: { exact: GET } }]
      rewrite: { uri: / }
      route: [{ destination: { host: web.shop.svc.cluster.local } }]
    - match: [{ uri: { exact: /tea } }]
      directResponse: { status: 418, body: { string: teapot } }
    - match: [{ uri: { exact: /nowhere } }]
      route: [{ destination: { host: nowhere } }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: plain, namespace: outside }
spec:
  selector: { matchLabels: { app: plain } }
  template:
    metadata: { labels: { app: plain, sidecar.istio.io/inject: "false" } }
    spec:
      containers: [{ name: plain, image: "curlimages/curl:8.16.0", command: [/bin/sleep, infinity] }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: mute, namespace: outside }
spec:
  selector: { matchLabels: { app: mute } }
  template:
    metadata: { labels: { app: mute, sidecar.istio.io/inject: "false" } }
    spec:
      containers: [{ name: mute, image: "curlimages/curl:8.16.0", command: [/bin/sleep, infinity] }]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: mute, namespace: outside }
spec: { podSelector: { matchLabels: { app: mute } }, policyTypes: [Egress] }
`;

interface Row {
  readonly from: string;
  readonly to: string;
  readonly method?: string;
  readonly path?: string;
  readonly tcp?: true;
  /** What both must say. */
  readonly seen: string;
  /** What explain must blame. */
  readonly by?: string;
}

const rows: readonly Row[] = [
  { from: "web", to: "cart", path: "/", seen: "200" },
  { from: "web", to: "payments", path: "/status", seen: "200" },
  { from: "outsider", to: "shop/web", path: "/", seen: "200" },
  { from: "cart", to: "database:5432", tcp: true, seen: "bytes" },
  { from: "outsider", to: "window", path: "/shop", seen: "200" },
  { from: "outsider", to: "window", path: "/tea", seen: "418" },
  {
    from: "web",
    to: "payments",
    method: "POST",
    path: "/pay",
    seen: "403",
    by: "AuthorizationPolicy shop/payments",
  },
  {
    from: "outsider",
    to: "payments.shop",
    path: "/status",
    seen: "times out",
    by: "NetworkPolicy shop/default-deny",
  },
  {
    from: "web",
    to: "database:5432",
    tcp: true,
    seen: "times out",
    by: "NetworkPolicy shop/web",
  },
  {
    from: "plain",
    to: "shop/cart",
    path: "/",
    seen: "times out",
    by: "NetworkPolicy shop/cart",
  },
  {
    from: "outsider",
    to: "window",
    path: "/elsewhere",
    seen: "404",
    by: "VirtualService outside/window",
  },
  {
    from: "outsider",
    to: "window",
    path: "/nowhere",
    seen: "503",
    by: "VirtualService outside/window",
  },
  { from: "outsider", to: "nobody", path: "/", seen: "503", by: "Service outside/nobody" },
  {
    from: "plain",
    to: "nobody",
    path: "/",
    seen: "connection refused",
    by: "Service outside/nobody",
  },
  {
    from: "plain",
    to: "shop/web",
    path: "/",
    seen: "connection closed",
    by: "PeerAuthentication shop/default",
  },
  {
    from: "mute",
    to: "shop/web",
    path: "/",
    seen: "no such name",
    by: "NetworkPolicy outside/mute",
  },
];

describe("explain, beside the requests that it explains", { skip: skipWithoutRoot }, () => {
  let lab: TestLab;
  before(async () => {
    lab = await startLab();
    await lab.apply(besides);
    await lab.until("plain and mute ready", async () => {
      const pods = [...(await lab.pods("plain-")), ...(await lab.pods("mute-"))];
      return pods.length === 2 && pods.every(({ ready }) => ready);
    });
  });
  after(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  test("agrees with every one of them, and names who decided", async () => {
    const answers = await Promise.all(
      rows.map(async (row) => ({
        row: nameOf(row),
        wanted: row.seen,
        explained: explained(await ask(lab, row), row),
        real: await real(lab, row),
      })),
    );
    const wanted = rows.map((row) => ({
      row: nameOf(row),
      wanted: row.seen,
      explained: { seen: row.seen, by: row.by },
      real: row.seen,
    }));
    assert.deepEqual(answers, wanted);
  });

  test("knows everybody whom a weighted route leads to, and nobody else", async () => {
    const { branches, verdict } = await ask(lab, {
      from: "web",
      to: "catalogue",
      path: "/products",
      seen: "200",
    });
    assert.equal(verdict.outcome, "allowed");
    const shares = branches.map(({ share }) => share);
    assert.deepEqual(shares, [0.9, 0.1]);
    const candidates = branches.flatMap((branch) => branch.candidates.map(({ pod }) => pod));
    // One in ten goes to v2: that none of 200 does happens once in 10^9 runs.
    const { stdout } = await lab.curl("web", "http://catalogue/products?[1-200]");
    const answered = new Set(
      [...stdout.matchAll(/"pod":\s*"([^"]+)"/g)].map((match) => `shop/${match[1]}`),
    );
    assert.deepEqual([...answered].sort(), candidates.toSorted());
  });

  test("is a command that prints the way, with the verdict and the nearest rule last", async () => {
    const words = ["web", "payments", "-n", "shop", "--method", "post", "--path", "/pay"];
    const { stdout, stderr } = await heddle(["explain", "--lab", lab.name, ...words], lab.base);
    assert.equal(stderr, "");
    const lines = stdout.trimEnd().split("\n");
    assert.match(lines.at(-1) ?? "", /^✗ refused, 403: /);
    assert.match(stdout, /nearest: AuthorizationPolicy shop\/payments spec\.rules\[0\]/);
    const typo = await heddle(
      ["explain", "--lab", lab.name, "web", "paymets", "-n", "shop"],
      lab.base,
    );
    assert.equal(typo.code, 1);
    assert.match(
      typo.stderr,
      /^error: there is no Service or pod "paymets".*did you mean payments/,
    );
  });
});

function nameOf({ from, to, method = "", path = "" }: Row): string {
  return [from, "→", to, method, path].join(" ").trim();
}

async function ask(lab: TestLab, { from, to, method, path, tcp }: Row): Promise<Explanation> {
  const answer = await explainAnswer(lab.connection.client, from, to, {
    output: "json",
    ...(method === undefined ? {} : { method }),
    ...(path === undefined ? {} : { path }),
    ...(tcp === undefined ? {} : { tcp }),
  });
  return JSON.parse(answer) as Explanation;
}

function explained(
  { verdict }: Explanation,
  row: Row,
): { readonly seen: string; readonly by: string | undefined } {
  const blamed = verdict.outcome === "refused" ? verdict.by : [];
  const names = blamed.map(({ kind, name }) => `${kind} ${name}`);
  return { seen: seenOf(verdict, row), by: names.find((name) => name === row.by) };
}

function seenOf(verdict: Verdict, { tcp }: Row): string {
  switch (verdict.outcome) {
    case "allowed":
      return tcp === true ? "bytes" : "200";
    case "answered":
      return `${verdict.status}`;
    case "mixed":
      return verdict.sentence;
    case "refused":
      return verdict.seen.kind === "status" ? `${verdict.seen.status}` : verdict.seen.kind;
  }
}

const curlSays: Readonly<Record<number, string>> = {
  6: "no such name",
  7: "connection refused",
  28: "times out",
  52: "connection closed",
  56: "connection closed",
};

/** What a program in the pod notices, in explain's words. */
async function real(lab: TestLab, { from, to, method, path, tcp }: Row): Promise<string> {
  const [space, name] = to.includes("/") ? to.split("/", 2) : [undefined, to];
  const host = space === undefined ? name : `${name}.${space}`;
  if (tcp === true) {
    // A server that speaks first: a byte says that the connection stands.
    const { stdout, code } = await lab.curl(from, "-m", "4", `telnet://${host}`);
    return stdout === "" ? present(curlSays[code], `curl's code ${code}`) : "bytes";
  }
  const options = ["-o", "/dev/null", "-w", "%{http_code}", "-m", "4"];
  const verb = method === undefined ? [] : ["-X", method];
  const url = `http://${host}${path}`;
  const { stdout, code, stderr } = await lab.curl(from, ...options, ...verb, url);
  if (code === 0) return stdout.trim();
  // A name server that does not answer is given up later than by curl.
  if (code === 28 && stderr.includes("Resolving timed out")) return "no such name";
  return curlSays[code] ?? `curl's code ${code}: ${stderr.trim()}`;
}
