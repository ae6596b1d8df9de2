import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { VirtualService } from "../api/istio/networking.ts";
import type { Pod, Service } from "../api/k8s/core.ts";
import { kindNamed, restPath } from "../api/kinds.ts";
import type { Resource } from "../api/resource.ts";
import { createLog } from "../base/log.ts";
import { seededRandom } from "../base/random.ts";
import { Secret } from "../base/secret.ts";
import type { ApiError } from "../rpc/api-error.ts";
import { httpObjectClient } from "../rpc/http-object-client.ts";
import { type Endpoint, type HttpTransport, httpTransport } from "../rpc/http-transport.ts";
import type { ObjectClient, ObjectEvent } from "../rpc/object-client.ts";
import type { Bootstrap } from "./api/extensions.ts";
import { startServer } from "./main.ts";
import { noXds } from "./testdata/no-xds.ts";
import { wallClock } from "./testdata/wall-clock.ts";

const folder = mkdtempSync(join(tmpdir(), "heddle-server-"));
const stop = new AbortController();
const running = await startServer(
  { dataDir: join(folder, "main"), listen: { host: "127.0.0.1", apiPort: 0, xdsPort: 0 } },
  {
    clock: wallClock,
    random: seededRandom(1),
    log: createLog((line) => process.stderr.write(`${line}\n`), Date.now, "error"),
    startXdsServer: noXds,
  },
  stop.signal,
);
const admin = transportTo({ kind: "socket", path: running.adminSocket });
const client = clientOver(admin);
after(async () => {
  admin.close();
  stop.abort();
  await running.closed;
  rmSync(folder, { recursive: true });
});

describe("the API", () => {
  test("starts with its namespaces and the address plan", async () => {
    const { objects } = await client.list<Resource>("Namespace");
    assert.deepEqual(
      objects.map(({ metadata }) => metadata.name),
      ["default", "kube-public", "kube-system"],
    );
    assert.equal(objects[0]?.metadata.labels?.["kubernetes.io/metadata.name"], "default");
    assert.ok(await client.get("Network", "", "default"));
  });

  test("creates, reads, replaces and deletes", async () => {
    const created = await client.create(configMap("crud", { v: "1" }));
    assert.equal(created.metadata.generation, 1);
    assert.match(created.metadata.uid ?? "", /^[0-9a-f-]{36}$/);
    assert.deepEqual(await client.get("ConfigMap", "default", "crud"), created);
    await assert.rejects(client.create(configMap("crud")), { code: "api.exists" });
    const updated = await client.update({ ...created, data: { v: "2" } });
    assert.equal(updated.metadata.generation, 2);
    await assert.rejects(client.update({ ...created, data: { v: "3" } }), { code: "api.conflict" });
    await client.delete("ConfigMap", "default", "crud");
    await client.delete("ConfigMap", "default", "crud");
    assert.equal(await client.get("ConfigMap", "default", "crud"), undefined);
  });

  test("answers refusals with a Status that programs can read", async () => {
    const { code, body } = await admin.send({ method: "GET", path: "/api/v1/nodes/none" });
    assert.equal(code, 404);
    assert.deepEqual(body, {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: "there is no Node none",
      reason: "NotFound",
      code: 404,
    });
  });

  test("refuses to create into a namespace that is not there", async () => {
    await assert.rejects(client.create(configMap("lost", {}, "nowhere")), {
      code: "api.absent",
      message: "there is no Namespace nowhere",
    });
  });

  test("keeps status and object apart", async () => {
    const created = await client.create({
      ...pod("parts", "node-1"),
      status: { podIP: "1.2.3.4" },
    });
    assert.deepEqual(created.status, { phase: "Pending" });
    const patched = await client.patchStatus<Pod>("Pod", "default", "parts", { podIP: "10.1.1.1" });
    assert.deepEqual(patched.status, { phase: "Pending", podIP: "10.1.1.1" });
    assert.equal(patched.metadata.generation, 1);
    const updated = await client.update({ ...patched, status: { phase: "Failed" } });
    assert.equal(updated.status?.phase, "Pending");
  });

  test("makes names from generateName", async () => {
    const { code, body } = await admin.send({
      method: "POST",
      path: "/api/v1/namespaces/default/configmaps",
      body: { metadata: { generateName: "made-" } },
    });
    assert.equal(code, 201);
    assert.match((body as Resource).metadata.name, /^made-[a-z0-9]{5}$/);
  });

  test("accepts older versions of a kind and answers in the version of the path", async () => {
    const path = "/apis/networking.istio.io/v1beta1/namespaces/default/destinationrules";
    const { code, body } = await admin.send({
      method: "POST",
      path,
      body: {
        apiVersion: "networking.istio.io/v1beta1",
        kind: "DestinationRule",
        metadata: { name: "old" },
        spec: { host: "old" },
      },
    });
    assert.equal(code, 201);
    assert.equal((body as Resource).apiVersion, "networking.istio.io/v1beta1");
    const stored = await client.get<Resource>("DestinationRule", "default", "old");
    assert.equal(stored?.apiVersion, "networking.istio.io/v1");
  });

  test("selects by labels and fields", async () => {
    for (const [name, tier] of [
      ["sel-a", "web"],
      ["sel-b", "db"],
    ] as const) {
      const object = configMap(name);
      await client.create({ ...object, metadata: { ...object.metadata, labels: { tier } } });
    }
    const names = async (query: string) => {
      const path = `/api/v1/namespaces/default/configmaps?${query}`;
      const { body } = await admin.send({ method: "GET", path });
      return (body as { items: Resource[] }).items.map(({ metadata }) => metadata.name);
    };
    assert.deepEqual(await names("labelSelector=tier%3Dweb"), ["sel-a"]);
    assert.deepEqual(await names("labelSelector=tier%20in%20(web,db),tier!%3Dweb"), ["sel-b"]);
    assert.deepEqual(await names("labelSelector=tier,!other"), ["sel-a", "sel-b"]);
    assert.deepEqual(await names("fieldSelector=metadata.name%3Dsel-b"), ["sel-b"]);
    const { code } = await admin.send({
      method: "GET",
      path: "/api/v1/pods?fieldSelector=spec.colour%3Dred",
    });
    assert.equal(code, 400);
  });

  test("bounds bodies", async () => {
    const { code } = await admin.send({
      method: "POST",
      path: "/api/v1/namespaces/default/configmaps",
      body: configMap("big", { v: "x".repeat(4 * 1024 * 1024) }),
    });
    assert.equal(code, 413);
  });

  test("says what it serves", async () => {
    const { body } = await admin.send({ method: "GET", path: "/apis/apps/v1" });
    const { resources } = body as { resources: { name: string; namespaced: boolean }[] };
    assert.deepEqual(
      resources.map(({ name }) => name),
      ["deployments", "deployments/status"],
    );
    for (const path of ["/api", "/apis", "/api/v1", "/version", "/healthz", "/apis/apps"]) {
      assert.equal((await admin.send({ method: "GET", path })).code, 200, path);
    }
    assert.equal((await admin.send({ method: "GET", path: "/openapi/v2" })).code, 404);
  });
});

describe("apply", () => {
  test("creates, merges, and takes away what the manifest no longer has", async () => {
    const rule = (spec: unknown) => ({
      apiVersion: "networking.istio.io/v1",
      kind: "DestinationRule",
      metadata: { name: "applied", namespace: "default" },
      spec,
    });
    await client.apply(rule({ host: "a", trafficPolicy: { loadBalancer: { simple: "RANDOM" } } }));
    const other = clientOver(admin, "somebody-else");
    await other.apply({
      ...rule({ host: "a" }),
      metadata: { name: "applied", namespace: "default", labels: { team: "web" } },
    });
    const after = await client.apply<Resource & { spec?: unknown }>(rule({ host: "a" }));
    assert.deepEqual(after.spec, { host: "a" });
    assert.deepEqual(after.metadata.labels, { team: "web" });
    const again = await client.apply<Resource>(rule({ host: "a" }));
    assert.equal(again.metadata.resourceVersion, after.metadata.resourceVersion);
  });

  test("keeps what the server decided: a Service's address, a Deployment's status", async () => {
    const first = await client.apply(service("applied-service", { port: 80 }));
    const second = await client.apply(service("applied-service", { port: 81 }));
    assert.equal(second.spec.clusterIP, first.spec.clusterIP);
    assert.equal(second.spec.ports?.[0]?.port, 81);
  });
});

describe("a patch", () => {
  test("merges, by JSON merge patch", async () => {
    await client.create(configMap("patched", { a: "1", b: "2" }));
    const body = await patch("patched", "application/merge-patch+json", {
      data: { a: null, c: "3" },
    });
    assert.deepEqual((body as { data: unknown }).data, { b: "2", c: "3" });
  });

  test("edits, by JSON patch, or changes nothing when a test does not hold", async () => {
    await client.create(configMap("edited", { a: "1" }));
    const type = "application/json-patch+json";
    const ops = [
      { op: "test", path: "/data/a", value: "1" },
      { op: "add", path: "/data/b~1c", value: "2" },
      { op: "move", from: "/data/a", path: "/data/d" },
    ];
    assert.deepEqual(((await patch("edited", type, ops)) as { data: unknown }).data, {
      "b/c": "2",
      d: "1",
    });
    const refused = (await patch("edited", type, ops)) as { code: number };
    assert.equal(refused.code, 400);
  });

  test("that removes the length of a list is refused and removes no member", async () => {
    await client.create({
      ...service("listed"),
      metadata: { name: "listed", namespace: "default" },
    });
    const answer = await admin.send({
      method: "PATCH",
      path: "/api/v1/namespaces/default/services/listed",
      mediaType: "application/json-patch+json",
      body: [{ op: "remove", path: "/spec/ports/length" }],
    });
    assert.equal(answer.code, 400);
    assert.equal(
      (await client.get<Service>("Service", "default", "listed"))?.spec.ports?.length,
      1,
    );
  });

  async function patch(name: string, mediaType: string, body: unknown): Promise<unknown> {
    const path = `/api/v1/namespaces/default/configmaps/${name}`;
    return (await admin.send({ method: "PATCH", path, mediaType, body })).body;
  }
});

describe("a Service", () => {
  test("gets an address of its own from the service range", async () => {
    const created = await Promise.all(
      Array.from({ length: 20 }, (_, index) => client.create(service(`many-${index}`))),
    );
    const addresses = created.map(({ spec }) => spec.clusterIP ?? "");
    assert.equal(new Set(addresses).size, 20);
    for (const address of addresses) assert.match(address, /^10\.96\./);
  });

  test("gets the address it asks for, unless it is taken or outside the range", async () => {
    const fixed = await client.create(service("fixed", { clusterIP: "10.96.7.7" }));
    assert.equal(fixed.spec.clusterIP, "10.96.7.7");
    await assert.rejects(client.create(service("thief", { clusterIP: "10.96.7.7" })), {
      code: "api.invalid",
      message: /spec\.clusterIP: must be free, got "10\.96\.7\.7" of Service default\/fixed/,
    });
    await assert.rejects(client.create(service("stray", { clusterIP: "192.0.2.1" })), {
      message: /must be in 10\.96\.0\.0\/16/,
    });
    await client.delete("Service", "default", "fixed");
    assert.ok(await client.create(service("heir", { clusterIP: "10.96.7.7" })));
  });

  test("has none where it is headless or an external name", async () => {
    const headless = await client.create(service("headless", { clusterIP: "None" }));
    assert.equal(headless.spec.clusterIP, "None");
  });
});

describe("deleting", () => {
  test("a pod that runs marks it, until its node deletes it without grace", async () => {
    await client.create(pod("graceful", "node-1"));
    await client.delete("Pod", "default", "graceful");
    const marked = await client.get<Pod>("Pod", "default", "graceful");
    assert.match(marked?.metadata.deletionTimestamp ?? "", /Z$/);
    const path = "/api/v1/namespaces/default/pods/graceful?gracePeriodSeconds=0";
    assert.equal((await admin.send({ method: "DELETE", path })).code, 200);
    assert.equal(await client.get("Pod", "default", "graceful"), undefined);
  });

  test("an object with finalizers waits until the last is taken off", async () => {
    const object = configMap("final");
    await client.create({ ...object, metadata: { ...object.metadata, finalizers: ["a/b"] } });
    await client.delete("ConfigMap", "default", "final");
    const waiting = await client.get<Resource>("ConfigMap", "default", "final");
    assert.ok(waiting?.metadata.deletionTimestamp);
    await client.update({ ...waiting, metadata: { ...waiting.metadata, finalizers: [] } });
    assert.equal(await client.get("ConfigMap", "default", "final"), undefined);
  });

  test("a namespace deletes what is in it, and the permanent ones stay", async () => {
    await client.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: "brief" } });
    await client.create(configMap("inside", {}, "brief"));
    const gone = until(
      "Namespace",
      ({ type, metadata }) => type === "deleted" && metadata.name === "brief",
    );
    await client.delete("Namespace", "", "brief");
    await gone;
    assert.equal(await client.get("ConfigMap", "brief", "inside"), undefined);
    await assert.rejects(client.delete("Namespace", "", "default"), { code: "api.forbidden" });
  });
});

describe("a watch", () => {
  test("gives the whole picture first and then every change", async () => {
    await client.create(configMap("seen-1", {}, "kube-public"));
    const ending = new AbortController();
    const events: string[] = [];
    for await (const event of client.watch<Resource>("ConfigMap", ending.signal)) {
      if (event.type === "synced") {
        const names = event.objects.map(({ metadata }) => metadata.name);
        assert.ok(names.includes("seen-1"));
        await client.create(configMap("seen-2", {}, "kube-public"));
        await client.update(configMap("seen-2", { v: "2" }, "kube-public"));
        await client.delete("ConfigMap", "kube-public", "seen-2");
        continue;
      }
      events.push(`${event.type} ${event.object.metadata.name}`);
      if (events.length === 3) ending.abort();
    }
    assert.deepEqual(events, ["added seen-2", "modified seen-2", "deleted seen-2"]);
  });

  test("from a version that history has lost says 410, and one with a selector sees objects leave", async () => {
    const lines = async (query: string, count: number) => {
      const found: { type: string; object: { code?: number; metadata: Resource["metadata"] } }[] =
        [];
      const request = { method: "GET", path: `/api/v1/configmaps?watch=1&${query}` };
      for await (const line of admin.lines(request, 5_000, () => assert.fail())) {
        found.push(JSON.parse(line));
        if (found.length === count) break;
      }
      return found;
    };
    const [error] = await lines("resourceVersion=999999999", 1);
    assert.deepEqual([error?.type, error?.object.code], ["ERROR", 410]);

    const { version } = await client.list("ConfigMap");
    const object = configMap("leaves");
    const labels = { watched: "yes" };
    const made = await client.create({ ...object, metadata: { ...object.metadata, labels } });
    await client.update({ ...made, metadata: { ...made.metadata, labels: {} } });
    const seen = await lines(`resourceVersion=${version}&labelSelector=watched%3Dyes`, 2);
    assert.deepEqual(
      seen.map(({ type }) => type),
      ["ADDED", "DELETED"],
    );
  });
});

describe("a node's token", () => {
  test("opens the API over TLS, to read everything but Secrets and to write what is the node's own", async () => {
    const { client: node, transport } = await nodeClient("node-7");
    assert.ok((await node.list("Service")).version);
    await assert.rejects(node.list("Secret"), { code: "api.forbidden" });
    await assert.rejects(node.create(configMap("no")), {
      code: "api.forbidden",
      message: "node node-7 may not write ConfigMap default/no",
    });
    const own = { apiVersion: "v1", kind: "Node", metadata: { name: "node-7" } };
    assert.ok(await node.apply(own));
    await assert.rejects(node.apply({ ...own, metadata: { name: "node-8" } }), {
      code: "api.forbidden",
    });
    await node.patchStatus("Node", "", "node-7", { conditions: [] });

    const block = (name: string, holder: string) => ({
      apiVersion: "heddle.dev/v1",
      kind: "AddressBlock",
      metadata: { name },
      spec: { cidr: name.replace("-", "/"), node: holder },
    });
    assert.ok(await node.create(block("10.244.0.0-26", "node-7")));
    await assert.rejects(node.create(block("10.244.0.64-26", "node-8")), {
      code: "api.forbidden",
    });

    // Pods of its own containers it may make, where the namespace is open to that.
    const container = (name: string, on: string, namespace = "default") => {
      const { metadata, ...rest } = pod(name, on);
      const annotations = { "heddle.dev/container-id": "c1" };
      return { ...rest, metadata: { ...metadata, namespace, annotations } };
    };
    assert.ok(await node.create(container("contained", "node-7")));
    await assert.rejects(node.create(container("no", "node-8")), { code: "api.forbidden" });
    await assert.rejects(node.create(pod("no", "node-7")), { code: "api.forbidden" });
    const home = (name: string, labels: Readonly<Record<string, string>>) =>
      client.create({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels } });
    await home("closed", {});
    await home("open", { "heddle.dev/containers": "allowed" });
    await assert.rejects(node.create(container("no", "node-7", "closed")), {
      code: "api.forbidden",
    });
    assert.ok(await node.create(container("contained", "node-7", "open")));

    await client.create(pod("theirs", "node-8"));
    await assert.rejects(node.patchStatus("Pod", "default", "theirs", { podIP: "1.1.1.1" }), {
      code: "api.forbidden",
    });
    await client.create(pod("mine", "node-7"));
    const mine = await node.patchStatus<Pod>("Pod", "default", "mine", { podIP: "1.1.1.1" });
    await assert.rejects(node.update(mine), { code: "api.forbidden" });
    transport.close();
  });

  test("cannot draw others' traffic to its node with a block that the plan does not have", async () => {
    const { client: node, transport } = await nodeClient("node-3");
    const block = (cidr: string) => ({
      apiVersion: "heddle.dev/v1",
      kind: "AddressBlock",
      metadata: { name: cidr.replace("/", "-") },
      spec: { cidr, node: "node-3" },
    });
    await assert.rejects(node.create(block("0.0.0.0/1")), {
      code: "api.invalid",
      message: `AddressBlock 0.0.0.0-1 is invalid: spec.cidr: must be a /26 of 10.244.0.0/16, got "0.0.0.0/1"`,
    });
    for (const cidr of ["10.244.0.0/27", "10.96.0.0/26", "192.0.2.0/26"]) {
      await assert.rejects(node.apply(block(cidr)), { code: "api.invalid" }, cidr);
    }
    assert.ok(await node.create(block("10.244.255.192/26")));
    transport.close();
  });

  test("does not get a Secret's content quoted in the refusal of a patch to it", async () => {
    const { transport } = await nodeClient("node-4");
    const hidden = { ...configMap("hidden"), kind: "Secret", data: { password: "c3dvcmRmaXNo" } };
    await client.create(hidden);
    const send = (ops: readonly unknown[]) =>
      transport.send({
        method: "PATCH",
        path: "/api/v1/namespaces/default/secrets/hidden",
        mediaType: "application/json-patch+json",
        body: ops,
      });
    const copied = await send([{ op: "copy", from: "/data/password", path: "/apiVersion" }]);
    assert.ok(!JSON.stringify(copied.body).includes(hidden.data.password));
    const guesses = ["c3dvcmRmaXNo", "wrong"].map((value) =>
      send([{ op: "test", path: "/data/password", value }]),
    );
    const codes = (await Promise.all([copied, ...guesses])).map(({ code }) => code);
    assert.deepEqual(codes, [403, 403, 403]);
    transport.close();
  });

  test("does not open the administrator's paths, and no token opens nothing", async () => {
    const { transport, bootstrap } = await nodeClient("node-9");
    const path = "/heddle/v1/node-tokens";
    const body = { node: "node-1" };
    assert.equal((await transport.send({ method: "POST", path, body })).code, 403);
    transport.close();
    for (const token of ["", "wrong", bootstrap.token.replace("node-9", "node-7")]) {
      const stranger = transportTo({
        kind: "https",
        url: bootstrap.api,
        token: new Secret(token),
        roots: bootstrap.roots,
      });
      assert.equal((await stranger.send({ method: "GET", path: "/api/v1/nodes" })).code, 401);
      stranger.close();
    }
  });

  test("stays valid when it is replaced once, not twice", async () => {
    const tokens = [await issue("node-5"), await issue("node-5"), await issue("node-5")];
    const codes = await Promise.all(
      tokens.map(async (bootstrap) => {
        const transport = transportTo(endpointOf(bootstrap));
        const { code } = await transport.send({ method: "GET", path: "/api/v1/nodes" });
        transport.close();
        return code;
      }),
    );
    assert.deepEqual(codes, [401, 200, 200]);
  });

  test("is nowhere in the store but as a hash", async () => {
    const { token } = await issue("node-6");
    const { objects } = await client.list("Secret");
    assert.ok(!JSON.stringify(objects).includes(token.slice(-20)));
  });

  test("nobody but the server's user can open its files and its administrator's socket", () => {
    for (const name of ["admin.sock", "authority.pem", "objects.db", "objects.db-wal"]) {
      assert.equal(statSync(join(folder, "main", name)).mode & 0o777, 0o600, name);
    }
  });
});

describe("a server that is killed and started again", () => {
  test("has the same objects, root and tokens, and its watchers go on where they were", async () => {
    const dataDir = join(folder, "restarted");
    const socket = join(dataDir, "admin.sock");
    const first = await startProcess(dataDir);
    const before = transportTo({ kind: "socket", path: socket });
    const writer = clientOver(before);
    const bootstrap = (
      await before.send({ method: "POST", path: "/heddle/v1/node-tokens", body: { node: "n" } })
    ).body as Bootstrap;
    const created = await writer.create(service("kept"));

    const overTls = transportTo(endpointOf(bootstrap));
    const ending = new AbortController();
    const events = clientOver(overTls)
      .watch<Service>("Service", ending.signal)
      [Symbol.asyncIterator]();
    const { value: synced } = await events.next();
    assert.equal(
      synced?.type === "synced" && synced.objects[0]?.metadata.uid,
      created.metadata.uid,
    );

    first.process.kill("SIGKILL");
    await first.ended;
    before.close();
    const second = await startProcess(dataDir, first.apiPort);
    const again = transportTo({ kind: "socket", path: socket });
    const newer = clientOver(again);
    assert.deepEqual(await newer.get("Service", "default", "kept"), created);
    await newer.create(service("later"));
    const { value: change } = await events.next();
    assert.equal(change?.type === "added" && change.object.metadata.name, "later");

    ending.abort();
    await events.return?.();
    overTls.close();
    again.close();
    second.process.kill("SIGKILL");
    await second.ended;
  });
});

interface Started {
  readonly process: ChildProcess;
  readonly apiPort: number;
  readonly ended: Promise<unknown>;
}

async function startProcess(dataDir: string, apiPort = 0): Promise<Started> {
  const script = fileURLToPath(new URL("./testdata/server.ts", import.meta.url));
  const child = spawn(process.execPath, [script, dataDir, String(apiPort)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    return { process: child, ended, ...(JSON.parse(line) as { apiPort: number }) };
  }
  throw new Error("the server ended before it was ready");
}

function transportTo(endpoint: Endpoint): HttpTransport {
  return httpTransport(endpoint);
}

function clientOver(transport: HttpTransport, fieldManager = "test"): ObjectClient {
  return httpObjectClient({
    transport,
    clock: wallClock,
    random: Math.random,
    fieldManager,
    pathOf: (kind, namespace, name) => {
      const known = kindNamed(kind);
      if (known === undefined) throw new Error(kind);
      return restPath(known, namespace, name);
    },
  });
}

async function issue(node: string): Promise<Bootstrap> {
  const request = { method: "POST", path: "/heddle/v1/node-tokens", body: { node } };
  const { code, body } = await admin.send(request);
  assert.equal(code, 201);
  return body as Bootstrap;
}

function endpointOf({ api, token, roots }: Bootstrap): Endpoint {
  return { kind: "https", url: api, token: new Secret(token), roots };
}

async function nodeClient(node: string) {
  const bootstrap = await issue(node);
  const transport = transportTo(endpointOf(bootstrap));
  return { bootstrap, transport, client: clientOver(transport) };
}

/** The first change of a kind that `wanted` is true of, from now on. */
async function until(
  kind: string,
  wanted: (change: { type: string; metadata: Resource["metadata"] }) => boolean,
): Promise<void> {
  const ending = new AbortController();
  const events: AsyncIterable<ObjectEvent<Resource>> = client.watch(kind, ending.signal);
  for await (const event of events) {
    if (event.type === "synced") continue;
    if (wanted({ type: event.type, metadata: event.object.metadata })) break;
  }
  ending.abort();
}

function configMap(name: string, data: Record<string, string> = {}, namespace = "default") {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace },
    data,
  } as Resource & {
    data: Record<string, string>;
  };
}

function pod(name: string, nodeName: string): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default" },
    spec: { nodeName, containers: [{ name: "app", image: "app" }] },
  };
}

function service(
  name: string,
  { port = 80, clusterIP }: { port?: number; clusterIP?: string } = {},
) {
  const object: Service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "default" },
    spec: {
      selector: { app: name },
      ports: [{ port }],
      ...(clusterIP !== undefined && { clusterIP }),
    },
  };
  return object;
}

describe("field validation", () => {
  const uneven = {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: "uneven" },
    spec: {
      hosts: ["reviews"],
      http: [
        {
          route: [
            { destination: { host: "reviews", subset: "v1" }, weight: 80 },
            { destination: { host: "reviews", subset: "v2" }, weight: 10 },
          ],
        },
      ],
    },
  };
  const path = "/apis/networking.istio.io/v1/namespaces/default/virtualservices";
  const create = (name: string, mode: string) =>
    admin.send({
      method: "POST",
      path: `${path}?fieldValidation=${mode}`,
      body: { ...uneven, metadata: { name } },
    });

  test("Strict refuses weights that do not add up, naming the path", async () => {
    const { code, body } = await create("uneven-strict", "Strict");
    assert.equal(code, 422);
    const status = body as { message: string; reason: string; details: { causes: unknown } };
    assert.equal(
      status.message,
      "VirtualService default/uneven-strict is invalid: spec.http[0].route: weights must sum to 100, got 90",
    );
    assert.deepEqual(status.details.causes, [
      {
        reason: "FieldValueWarning",
        message: "weights must sum to 100, got 90",
        field: "spec.http[0].route",
      },
    ]);
  });

  test("Warn stores the object and says so in a header, Ignore is silent", async () => {
    const warned = await create("uneven-warned", "Warn");
    assert.equal(warned.code, 201);
    assert.deepEqual(warned.warnings, ["spec.http[0].route: weights must sum to 100, got 90"]);
    const ignored = await create("uneven-ignored", "Ignore");
    assert.deepEqual([ignored.code, ignored.warnings], [201, []]);
  });

  test("keeps no field that is null, in lists neither, where one froze every sidecar's configuration", async () => {
    const route = [{ destination: { host: "reviews", subset: null }, headers: null }];
    const rule = { match: null, delegate: null, timeout: null, route };
    const body = {
      ...uneven,
      metadata: { name: "nulls", namespace: "default" },
      spec: { hosts: ["reviews"], http: [rule, { match: [null], route }] },
    };
    const wanted = [
      { route: [{ destination: { host: "reviews" } }] },
      { match: [null], route: [{ destination: { host: "reviews" } }] },
    ];
    const apply = {
      method: "PATCH",
      path: `${path}/nulls?fieldManager=test`,
      mediaType: "application/apply-patch+yaml",
      body,
    };
    for (const request of [{ method: "POST", path, body }, apply]) {
      const { body: stored } = await admin.send(request);
      const { spec, metadata } = stored as VirtualService;
      assert.deepEqual([spec.http, metadata.generation], [wanted, 1]);
    }
    const matched = { match: [{ headers: { "x-user": null } }], route };
    const { code } = await admin.send({
      ...apply,
      body: { ...body, spec: { ...body.spec, http: [matched] } },
    });
    assert.equal(code, 422, "without its header it would take every request");
  });

  test("Strict lets an object be labelled that was stored with warnings", async () => {
    const { code } = await admin.send({
      method: "PATCH",
      path: `${path}/uneven-warned?fieldValidation=Strict`,
      mediaType: "application/merge-patch+json",
      body: { metadata: { labels: { reviewed: "yes" } } },
    });
    assert.equal(code, 200);
  });

  test("names every field of an object that is wrong in several ways, and stores nothing", async () => {
    const broken = service("broken", { port: 70000 });
    const wrong = { ...broken, spec: { ...broken.spec, type: "Cluster" } } as unknown as Service;
    await assert.rejects(client.create(wrong), (error: ApiError) => {
      assert.equal(error.code, "api.invalid");
      assert.deepEqual(
        error.causes.map(({ field }) => field),
        ["spec.type", "spec.ports[0].port"],
      );
      return true;
    });
    assert.equal(await client.get("Service", "default", "broken"), undefined);
  });
});
