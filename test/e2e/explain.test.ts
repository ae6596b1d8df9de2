/** `heddle explain` and reality are asked the same questions, and must give the same answers. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Pod } from "../../src/api/k8s/core.ts";
import { present } from "../../src/base/error.ts";
import { fetchWorld, parseDestination } from "../../src/cli/explain.ts";
import { explain } from "../../src/core/explain/explain.ts";
import type { Explanation, Verdict } from "../../src/core/explain/explanation.ts";
import { podsCalled } from "../../src/core/registry/pods-called.ts";
import { objectsOf, type World } from "../../src/core/registry/world.ts";
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
    - match: [{ uri: { exact: /v9 } }]
      route: [{ destination: { host: catalogue.shop.svc.cluster.local, subset: v9 } }]
    - match: [{ headers: { x-fault: { exact: "yes" } } }]
      fault: { abort: { httpStatus: 555, percentage: { value: 100 } } }
      route: [{ destination: { host: web.shop.svc.cluster.local } }]
    - match: [{ uri: { exact: /old } }]
      redirect: { uri: /new }
---
apiVersion: v1
kind: Service
metadata: { name: pods-of-web, namespace: shop }
spec: { clusterIP: None, selector: { app: web }, ports: [{ name: http, port: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: web-in-the-clear, namespace: shop }
spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: web-in-the-clear, namespace: outside }
spec:
  host: web-in-the-clear.shop.svc.cluster.local
  trafficPolicy: { tls: { mode: DISABLE } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: keep, namespace: shop }
spec:
  selector: { matchLabels: { app: web } }
  action: DENY
  rules: [{ to: [{ operation: { methods: [DELETE] } }] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: database, namespace: shop }
spec:
  selector: { matchLabels: { app: database } }
  rules: [{ from: [{ source: { principals: ["*/sa/cart"] } }], to: [{ operation: { ports: ["5432"] } }] }]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: catalogue-asks-the-database, namespace: shop }
spec:
  podSelector: { matchExpressions: [{ key: app, operator: In, values: [catalogue, database] }] }
  policyTypes: [Ingress, Egress]
  ingress:
    - from: [{ podSelector: { matchLabels: { app: catalogue } } }]
      ports: [{ port: 5432 }]
  egress: [{ ports: [{ port: 5432 }] }]
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
  /** `app@PORT`: the address of the app's pod. */
  readonly to: string;
  readonly method?: string;
  readonly path?: string;
  readonly header?: string;
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
  { from: "outsider", to: "window", path: "/old", seen: "301" },
  { from: "outsider", to: "window", path: "/any", header: "x-fault: yes", seen: "555" },
  { from: "outsider", to: "window", path: "/any", header: "x-fault: no", seen: "404" },
  { from: "outsider", to: "window", method: "POST", path: "/shop", seen: "404" },
  {
    from: "outsider",
    to: "window",
    path: "/v9",
    seen: "503",
    by: "VirtualService outside/window",
  },
  { from: "outsider", to: "pods-of-web.shop:8080", path: "/", seen: "200" },
  {
    from: "plain",
    to: "pods-of-web.shop:8080",
    path: "/",
    seen: "connection closed",
    by: "PeerAuthentication shop/default",
  },
  {
    from: "outsider",
    to: "web@8080",
    path: "/",
    seen: "503",
    by: "PeerAuthentication shop/default",
  },
  {
    from: "outsider",
    to: "web-in-the-clear.shop",
    path: "/",
    seen: "503",
    by: "PeerAuthentication shop/default",
  },
  {
    from: "outsider",
    to: "shop/web",
    method: "DELETE",
    path: "/",
    seen: "403",
    by: "AuthorizationPolicy shop/keep",
  },
  {
    from: "catalogue-v1",
    to: "database:5432",
    tcp: true,
    seen: "connection closed",
    by: "AuthorizationPolicy shop/database",
  },
  { from: "web", to: "web", path: "/products", seen: "200" },
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
    const world = await fetchWorld(lab.connection.client);
    const seen = await real(lab, world);
    const answers = rows.map((row, index) => ({
      row: nameOf(row),
      explained: explained(ask(world, row), row),
      real: seen[index],
    }));
    const wanted = rows.map((row) => ({
      row: nameOf(row),
      explained: { seen: row.seen, by: row.by },
      real: row.seen,
    }));
    assert.deepEqual(answers, wanted);
  });

  test("knows everybody whom a weighted route leads to, and nobody else", async () => {
    const world = await fetchWorld(lab.connection.client);
    const { branches, verdict } = ask(world, {
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

function nameOf({ from, to, method = "", path = "", header = "" }: Row): string {
  return [from, "→", to, method, path, header].join(" ").trim();
}

/** `web@8080` with the pod's address. */
function addressed(world: World, to: string): string {
  const [app = "", port] = to.split("@");
  if (port === undefined) return to;
  const [pod] = podsCalled(objectsOf<Pod>(world, "Pod"), app, undefined);
  return `${present(pod?.status?.podIP, `address of ${app}`)}:${port}`;
}

function ask(world: World, row: Row): Explanation {
  const { from, method, path, header, tcp } = row;
  const [name = "", value = ""] = header?.split(": ") ?? [];
  return explain(world, {
    source: from,
    ...parseDestination(addressed(world, row.to)),
    ...(method === undefined ? {} : { method }),
    ...(path === undefined ? {} : { path }),
    ...(header === undefined ? {} : { headers: { [name]: value } }),
    ...(tcp === undefined ? {} : { protocol: "tcp" }),
  });
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

/** What programs in the pods notice, in explain's words: one shell for each pod that asks. */
async function real(lab: TestLab, world: World): Promise<readonly string[]> {
  const seen: string[] = [];
  const bySource = Map.groupBy([...rows.entries()], ([, { from }]) => from);
  await Promise.all(
    [...bySource].map(async ([from, asked]) => {
      const lines = asked.map(([index, row]) => {
        const answer = `answer=$(${curlFor(world, row)})`;
        // One write for each line, or they would mix.
        return `(${answer}; printf '%s|%s|%s\\n' ${index} $? "$(echo "$answer" | tr '\\n' ' ')") &`;
      });
      const { stdout } = await lab.exec(from, "sh", "-c", `${lines.join("\n")}\nwait`);
      for (const line of stdout.split("\n").filter((text) => text.includes("|"))) {
        const [index = "", code = "", answer = ""] = line.split("|");
        const row = present(rows[Number(index)], `row ${index}`);
        seen[Number(index)] = words(Number(code), answer.trim(), row);
      }
    }),
  );
  return seen;
}

function curlFor(world: World, { to, method, path, header, tcp }: Row): string {
  const [space, name] = to.includes("/") ? to.split("/", 2) : [undefined, addressed(world, to)];
  const host = space === undefined ? name : `${name}.${space}`;
  const curl = "curl --silent --show-error --max-time 6";
  // A server that speaks first: a byte says that the connection stands.
  if (tcp === true) return `${curl} telnet://${host} 2>/dev/null`;
  const verb = method === undefined ? "" : `-X ${method}`;
  const field = header === undefined ? "" : `-H '${header}'`;
  return `${curl} -o /dev/null -w '%{http_code}' ${verb} ${field} http://${host}${path} 2>&1`;
}

function words(code: number, answer: string, { tcp }: Row): string {
  const said = curlSays[code] ?? `curl's code ${code}: ${answer}`;
  // A name server that does not answer is given up later than by curl.
  if (answer.includes("Resolving timed out")) return "no such name";
  if (tcp !== true) return code === 0 ? answer : said;
  if (answer !== "") return "bytes";
  return code === 0 ? "connection closed" : said;
}
