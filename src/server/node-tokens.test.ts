/** What a node's token opens, and what it does not. */

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Pod } from "../api/k8s/core.ts";
import { Secret } from "../base/secret.ts";
import { httpTransport } from "../rpc/http-transport.ts";
import { endpointOf, issueToken, nodeClient } from "./testdata/node-tokens.ts";
import { configMap, pod } from "./testdata/objects.ts";
import { runningServer } from "./testdata/running-server.ts";

const { admin, client, dataDir } = await runningServer();

describe("a node's token", () => {
  test("opens the API over TLS, to read everything but Secrets and to write what is the node's own", async () => {
    const { client: node, transport } = await nodeClient(admin, "node-7");
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
    const { client: node, transport } = await nodeClient(admin, "node-3");
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
    const { transport } = await nodeClient(admin, "node-4");
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
    const { transport, bootstrap } = await nodeClient(admin, "node-9");
    const path = "/heddle/v1/node-tokens";
    const body = { node: "node-1" };
    assert.equal((await transport.send({ method: "POST", path, body })).code, 403);
    transport.close();
    for (const token of ["", "wrong", bootstrap.token.replace("node-9", "node-7")]) {
      const stranger = httpTransport({
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
    const tokens = [
      await issueToken(admin, "node-5"),
      await issueToken(admin, "node-5"),
      await issueToken(admin, "node-5"),
    ];
    const codes = await Promise.all(
      tokens.map(async (bootstrap) => {
        const transport = httpTransport(endpointOf(bootstrap));
        const { code } = await transport.send({ method: "GET", path: "/api/v1/nodes" });
        transport.close();
        return code;
      }),
    );
    assert.deepEqual(codes, [401, 200, 200]);
  });

  test("is nowhere in the store but as a hash", async () => {
    const { token } = await issueToken(admin, "node-6");
    const { objects } = await client.list("Secret");
    assert.ok(!JSON.stringify(objects).includes(token.slice(-20)));
  });

  test("nobody but the server's user can open its files and its administrator's socket", () => {
    for (const name of ["admin.sock", "authority.pem", "objects.db", "objects.db-wal"]) {
      assert.equal(statSync(join(dataDir, name)).mode & 0o777, 0o600, name);
    }
  });
});
