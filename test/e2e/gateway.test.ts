/** A gateway of its own in front of Bookinfo: Istio's published files, unchanged, and TLS by host. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { AgentStatus } from "../../src/agent/status.ts";
import type { Service } from "../../src/api/k8s/core.ts";
import { fetchWorld } from "../../src/cli/explain.ts";
import { explain } from "../../src/core/explain/explain.ts";
import { getText } from "../../src/lab/ask-socket.ts";
import { runCommand } from "../../src/lab/command.ts";
import { controlNetns } from "../../src/lab/names.ts";
import { type WebCertificate, webCertificate } from "../../src/proxy/testing/web-certificate.ts";
import { projectRoot, skipWithoutRoot, startLab, type TestLab } from "../lab.ts";
import { startLoad } from "./load-report.ts";

const entry = join(projectRoot, "src", "main.ts");
const samples = join(projectRoot, "../shared/samples/bookinfo");
const sample = (name: string): string => join(samples, `${name}.yaml`);
const skip = skipWithoutRoot || (existsSync(samples) ? false : "samples/bookinfo is absent");

describe("a gateway in front of Bookinfo", { skip }, () => {
  let lab: TestLab;
  let address: string;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "heddle-gateway-"));
    const files = [sample("bookinfo"), sample("bookinfo-gateway"), "examples/ingress-gateway"];
    lab = await startLab({ files });
    address = await lab.until("the gateway has an address", async () => {
      const service = await lab.connection.client.get<Service>(
        "Service",
        "istio-system",
        "istio-ingressgateway",
      );
      return service?.status?.loadBalancer?.ingress?.[0]?.ip;
    });
    const [node] = (await lab.status()).nodes;
    const route = ["route", "add", address, "via", node?.address ?? ""];
    await runCommand(["ip", "-netns", controlNetns(lab.name), ...route]);
  });
  after(async () => {
    await lab?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  /** `200 text` of a request from a machine beside the lab's hosts, which knows a route to them. */
  async function curl(...words: readonly string[]): Promise<string> {
    const netns = controlNetns(lab.name);
    const format = ["--silent", "--max-time", "10", "-w", "\n%{http_code} %{redirect_url}"];
    const { stdout } = await runCommand([
      "ip",
      "netns",
      "exec",
      netns,
      "curl",
      ...format,
      ...words,
    ]);
    const end = stdout.lastIndexOf("\n");
    return `${stdout.slice(end + 1).trim()} ${stdout.slice(0, end)}`;
  }

  test("shows the product page to a client outside, and nothing that has no route", async () => {
    assert.match(await curl(`http://${address}/productpage`), /^200 [\s\S]*William Shakespeare/);
    assert.match(await curl(`http://${address}/details/0`), /^404/);
  });

  test("is what explain says of it, asked with the gateway as the source", async () => {
    const world = await fetchWorld(lab.connection.client);
    const asked = (path: string, method = "GET") =>
      explain(world, {
        source: "istio-system/istio-ingressgateway",
        destination: "any.example",
        path,
        method,
      }).verdict;
    assert.deepEqual(asked("/productpage"), { outcome: "allowed", sentence: "allowed" });
    const refused = asked("/details/0");
    assert.ok(refused.outcome === "refused" && refused.seen.kind === "status");
    assert.equal(refused.seen.status, 404);
  });

  test("is reached by a node port of every host, and with a local policy of its own host alone", async () => {
    const { nodes, pods } = await lab.status();
    const gateway = pods.find(({ name }) => name.startsWith("istio-ingressgateway"));
    const answers = async () =>
      Object.fromEntries(
        await Promise.all(
          nodes.map(async ({ name, address }) => {
            const answer = await curl("--max-time", "2", `http://${address}:30080/productpage`);
            return [name, answer.slice(0, 3)] as const;
          }),
        ),
      );
    await lab.apply(nodePort("Cluster"));
    assert.deepEqual(await answers(), Object.fromEntries(nodes.map(({ name }) => [name, "200"])));
    await lab.apply(nodePort("Local"));
    const local = nodes.map(({ name }) => [name, name === gateway?.node ? "200" : "000"]);
    assert.deepEqual(await answers(), Object.fromEntries(local));
    await lab.delete(nodePort("Local"));
  });

  test("opens TLS with each host's own certificate, and sends plain requests there", async () => {
    const [shop, books] = [webCertificate("shop.example"), webCertificate("books.example")];
    await lab.apply(
      [secret("shop-cert", shop), secret("books-cert", books), servers, bookRoutes].join("---\n"),
    );
    const redirected = await curl(
      "--resolve",
      `shop.example:80:${address}`,
      "http://shop.example/x",
    );
    assert.equal(redirected.split("\n")[0]?.trim(), "301 https://shop.example/x");
    assert.match(await secure("shop.example", shop), /^200 [\s\S]*William Shakespeare/);
    assert.match(await secure("books.example", books), /^200 [\s\S]*William Shakespeare/);
    assert.match(await secure("books.example", shop), /^000/, "somebody else's certificate");
    assert.match(await secure("other.example", shop), /^000/, "no such server");
  });

  test("takes a renewed certificate with the next connection", async () => {
    const renewed = webCertificate("shop.example");
    await lab.apply(secret("shop-cert", renewed));
    assert.match(await secure("shop.example", renewed), /^200/);
    await lab.delete(secret("shop-cert", renewed));
    assert.match(await secure("shop.example", renewed), /^000/, "its certificate is gone");
    await lab.apply(secret("shop-cert", renewed));
    assert.match(await secure("shop.example", renewed), /^200/);
  });

  test("and every sidecar behind it are taken over by new processes, with no request failed", async () => {
    const before = await sidecarPids(lab);
    const running = startLoad(
      lab,
      "productpage-v1",
      "http://reviews:9080/reviews/0",
      "4",
      "--seconds",
      "8",
    );
    await running.ready;
    const { code, stderr } = await runCommand(
      [process.execPath, entry, "node", "upgrade-sidecars", "--lab", lab.name],
      {
        env: { ...process.env, HEDDLE_LAB_DIR: lab.base },
      },
    );
    assert.equal(code, 0, stderr);
    assert.match(await curl(`http://${address}/productpage`), /^200/);
    const report = await running.report;
    assert.deepEqual(report.failures, []);
    assert.deepEqual(Object.keys(report.statuses), ["200"]);
    const after = await sidecarPids(lab);
    assert.ok(after.length === before.length && after.every((pid) => !before.includes(pid)));
  });

  async function secure(host: string, certificate: WebCertificate): Promise<string> {
    const roots = join(folder, "roots.pem");
    await writeFile(roots, certificate.chain);
    const words = ["--resolve", `${host}:443:${address}`, "--cacert", roots];
    return curl(...words, `https://${host}/productpage`);
  }
});

/** As the agents of both hosts say. */
async function sidecarPids(lab: TestLab): Promise<readonly number[]> {
  const hosts = ["n1", "n2"].map((host) => join(lab.base, lab.name, host, "run", "agent.sock"));
  const answers = await Promise.all(hosts.map((socket) => getText(socket, "/status")));
  return answers
    .flatMap((text) => (JSON.parse(text) as AgentStatus).attachments)
    .flatMap(({ sidecar }) => (sidecar?.kind === "ready" ? [sidecar.pid] : []));
}

function nodePort(policy: "Cluster" | "Local"): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: front, namespace: istio-system }
spec:
  type: NodePort
  externalTrafficPolicy: ${policy}
  selector: { istio: ingressgateway }
  ports: [{ name: http2, port: 80, targetPort: 8080, nodePort: 30080 }]
`;
}

function secret(name: string, { chain, key }: WebCertificate): string {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  return `
apiVersion: v1
kind: Secret
metadata: { name: ${name}, namespace: istio-system }
type: kubernetes.io/tls
data: { tls.crt: ${base64(chain)}, tls.key: ${base64(key)} }
`;
}

const servers = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: secure, namespace: default }
spec:
  selector: { istio: ingressgateway }
  servers:
    - port: { number: 80, name: http, protocol: HTTP }
      hosts: [shop.example]
      tls: { httpsRedirect: true }
    - port: { number: 443, name: https-shop, protocol: HTTPS }
      hosts: [shop.example]
      tls: { mode: SIMPLE, credentialName: shop-cert }
    - port: { number: 443, name: https-books, protocol: HTTPS }
      hosts: [books.example]
      tls: { mode: SIMPLE, credentialName: books-cert }
`;

const bookRoutes = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: secure, namespace: default }
spec:
  hosts: [shop.example, books.example]
  gateways: [secure]
  http:
    - route: [{ destination: { host: productpage, port: { number: 9080 } } }]
`;
