/**
 * What a pod reaches outside of the mesh: two machines beside the lab's hosts, and a name server of theirs that knows
 * their names.
 */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Network } from "../../src/api/heddle/v1.ts";
import { present } from "../../src/base/error.ts";
import { mustRun } from "../../src/lab/command.ts";
import { controlNetns } from "../../src/lab/names.ts";
import { type WebCertificate, webCertificate } from "../../src/proxy/testing/web-certificate.ts";
import { skipWithoutRoot, startLab, type TestLab } from "../lab.ts";

const [one, two] = ["192.0.2.201", "192.0.2.202"];

const entries = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: bank, namespace: outside }
spec:
  hosts: [bank.example]
  ports: [{ number: 80, name: http, protocol: HTTP, targetPort: 8080 }]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: secure, namespace: outside }
spec:
  hosts: [secure.example]
  ports:
    - { number: 80, name: http, protocol: HTTP, targetPort: 443 }
    - { number: 443, name: tls, protocol: TLS }
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: secure, namespace: outside }
spec:
  host: secure.example
  trafficPolicy:
    portLevelSettings:
      - { port: { number: 80 }, tls: { mode: SIMPLE, credentialName: roots } }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: databases, namespace: outside }
spec:
  hosts: [one.example, two.example]
  ports: [{ number: 5432, name: sql, protocol: TCP }]
  resolution: DNS
---
apiVersion: v1
kind: Service
metadata: { name: ledger, namespace: outside }
spec: { selector: { app: ledger }, ports: [{ name: http, port: 80 }] }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: ledger, namespace: outside }
spec: { address: ${two}, labels: { app: ledger }, ports: { http: 8080 } }
`;

describe("outside of the mesh", { skip: skipWithoutRoot }, () => {
  let folder: string;
  let lab: TestLab;
  const running: ChildProcess[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "heddle-outside-"));
    const certificate = webCertificate("secure.example");
    await writeFile(join(folder, "chain.pem"), certificate.chain);
    await writeFile(join(folder, "key.pem"), certificate.key);
    lab = await startLab({ files: ["test/e2e/manifests/outside.yaml"], upstream: "192.0.2.1" });
    for (const address of [one, two]) {
      await mustRun([
        "ip",
        "-netns",
        controlNetns(lab.name),
        "address",
        "add",
        `${address}/24`,
        "dev",
        "eth0",
      ]);
    }
    const servers = join(import.meta.dirname, "outside-servers.ts");
    const pems = [join(folder, "chain.pem"), join(folder, "key.pem")];
    const process_ = start(process.execPath, servers, ...pems, one, two);
    await once(present(process_.stdout, "the servers' output"), "data");
    await lead({ bank: one, secure: one, one, two });
    await lab.apply(`${secret(certificate)}---${entries}`);
    await lab.until("every host has an address", async () => {
      const { objects } = await lab.connection.client.list("ServiceEntry");
      return objects.every((entry) => "status" in entry);
    });
  });
  after(async () => {
    for (const child of running) child.kill();
    await lab?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  /** A process on the machine outside. */
  function start(...command: readonly string[]): ChildProcess {
    const words = ["netns", "exec", controlNetns(lab.name), ...command];
    const child = spawn("ip", words, { stdio: ["ignore", "pipe", "inherit"] });
    running.push(child);
    return child;
  }

  let names: ChildProcess | undefined;

  /** What the names lead to from now on, as their own name server says. */
  async function lead(hosts: Readonly<Record<string, string | undefined>>): Promise<void> {
    const file = join(folder, "hosts");
    const lines = Object.entries(hosts).map(([name, address]) => `${address} ${name}.example\n`);
    await writeFile(file, lines.join(""));
    if (names !== undefined) {
      names.kill("SIGHUP"); // reads its hosts again
      return;
    }
    const log = join(folder, "dnsmasq.log");
    const where = ["--listen-address=192.0.2.1", "--bind-interfaces", "--user=root", "--pid-file="];
    const what = ["--no-hosts", "--no-resolv", `--addn-hosts=${file}`, "--local-ttl=1"];
    const how = ["--keep-in-foreground", "--conf-file=/dev/null", `--log-facility=${log}`];
    names = start("dnsmasq", ...how, ...where, ...what);
    await lab.until("the name server listens", async () =>
      (await readFile(log, "utf8").catch(() => "")).includes("read "),
    );
  }

  const curl = async (...words: string[]) => (await lab.curl("caller", ...words)).stdout.trim();

  test("a host is reached by its name, on the port of its entry", async () => {
    const { body } = await lab.request("caller", "http://bank.example/");
    assert.equal(body.trim(), `http ${one} bank.example`);
    const metrics = await curl("http://127.0.0.1:15020/stats/prometheus");
    const counted = metrics.split("\n").find((line) => line.startsWith("istio_requests_total{"));
    assert.match(counted ?? "", /destination_service="bank\.example".*response_code="200"/);
  });

  test("names lead pods with a sidecar to an address that only it understands, and others home", async () => {
    const where = ["-o", "/dev/null", "-w", "%{remote_ip}"];
    const command = ["curl", "--silent", ...where];
    const asked = (pod: string, url: string) => lab.exec(pod, ...command, url);
    assert.match((await asked("caller", "http://bank.example/")).stdout, /^240\.240\./);
    assert.equal((await asked("plain", "http://bank.example:8080/")).stdout, one);
  });

  test("the sidecar speaks TLS for an application that does not, and leaves alone the TLS of one that does", async () => {
    const { body } = await lab.request("caller", "http://secure.example/");
    assert.equal(body.trim(), `tls ${one} secure.example`);
    const own = await lab.exec(
      "caller",
      "curl",
      "--silent",
      "--cacert",
      join(folder, "chain.pem"),
      "https://secure.example/",
    );
    assert.equal(own.stdout.trim(), `tls ${one} secure.example`);
  });

  test("two hosts on one TCP port are told apart", async () => {
    assert.equal(await curl("telnet://one.example:5432"), `tcp ${one}`);
    assert.equal(await curl("telnet://two.example:5432"), `tcp ${two}`);
  });

  test("a Service's selector means a machine that is no container", async () => {
    const { body } = await lab.request("caller", "http://ledger/");
    assert.equal(body.trim(), `http ${two} ledger`);
  });

  test("a host goes where its name does, and stays there while nobody can be asked", async () => {
    await lead({ bank: two, secure: one, one, two });
    const answers = () => curl("http://bank.example/");
    await lab.until(
      "the name's other address is used",
      async () => (await answers()) === `http ${two} bank.example`,
    );
    names?.kill();
    const log = await sidecarLog();
    await lab.until(
      "the sidecar cannot look the name up",
      async () => /name is not looked up.*bank\.example/.test(await readFile(log, "utf8")),
      60_000,
    );
    assert.equal(await answers(), `http ${two} bank.example`);
  });

  test("what is not declared is let through, or refused where only declared destinations may be called", async () => {
    const unknown = `http://${one}:8080/`;
    assert.equal((await lab.request("caller", unknown)).body.trim(), `http ${one} ${one}:8080`);
    const network = present(
      await lab.connection.client.get<Network>("Network", "", "default"),
      "the Network",
    );
    const { spec } = network;
    const told = (mode: string) => {
      const object = {
        ...network,
        metadata: { name: "default" },
        spec: { ...spec, outboundTrafficPolicy: { mode } },
      };
      return lab.apply(JSON.stringify(object));
    };
    await told("REGISTRY_ONLY");
    assert.equal((await lab.request("caller", `http://${one}/`)).status, 502);
    assert.notEqual((await lab.curl("caller", unknown)).code, 0);
    assert.equal((await lab.request("caller", "http://bank.example/")).status, 200);
    const metrics = await curl("http://127.0.0.1:15020/stats/prometheus");
    assert.match(
      metrics,
      /^istio_requests_total\{.*destination_service_name="BlackHoleCluster".*response_code="502"/m,
    );
    assert.match(
      metrics,
      /^istio_tcp_connections_opened_total\{.*destination_service_name="BlackHoleCluster"/m,
    );
    await told("ALLOW_ANY");
    assert.equal((await lab.request("caller", unknown)).status, 200);
  });

  async function sidecarLog(): Promise<string> {
    const pod = present((await lab.pods("caller"))[0], "the pod");
    const host = pod.node === "node-1" ? "n1" : "n2";
    const found = await mustRun([
      "grep",
      "-rl",
      "outside/caller",
      join(lab.base, lab.name, host, "run", "pods"),
      "--include=proxy.log",
    ]);
    return found.trim().split("\n")[0] ?? "";
  }
});

function secret({ chain }: WebCertificate): string {
  return `
apiVersion: v1
kind: Secret
metadata: { name: roots, namespace: outside }
type: Opaque
data: { ca.crt: ${Buffer.from(chain).toString("base64")} }
`;
}
