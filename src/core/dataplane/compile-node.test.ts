/**
 * Worlds in, nft text out: each `testdata/<case>.yaml` has its `<case>.nft`, which people review.
 *
 * `HEDDLE_GOLDEN=rewrite node --test <this file>` writes the texts anew; read the diff. That the kernel takes them and
 * does what they say is shown by test/netns/dataplane.test.ts.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parseAllDocuments } from "yaml";
import type { Pod } from "../../api/k8s/core.ts";
import type { Resource } from "../../api/resource.ts";
import { present } from "../../base/error.ts";
import type { NodeState } from "../../model/node-state.ts";
import type { Attachment, NodeView } from "../../model/node-view.ts";
import { renderRuleset } from "../../model/ruleset-text.ts";
import { viewFor } from "../registry/view.ts";
import { objectsOf, worldOf } from "../registry/world.ts";
import { compileNode } from "./compile-node.ts";
import { planNode } from "./plan-node.ts";
import { hostLinkName, podMac } from "./pod-link.ts";

const folder = join(import.meta.dirname, "testdata");
const features = { vxlan: true, nftables: true };

describe("the node's table", () => {
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".yaml"))) {
    const name = file.replace(/\.yaml$/, "");
    test(`is as reviewed for ${name.replaceAll("-", " ")}`, () => {
      const text = renderRuleset(present(compiled(name).ruleset, "ruleset"));
      const golden = join(folder, `${name}.nft`);
      const { HEDDLE_GOLDEN } = process.env;
      if (HEDDLE_GOLDEN === "rewrite") writeFileSync(golden, text);
      assert.equal(text, readFileSync(golden, "utf8"));
    });
  }

  test("has the same rules however many pods, peers and Services there are", () => {
    const rules = (pods: number) => {
      const objects = Array.from({ length: pods }, (_, index) => podObject(index));
      const view = viewFor(worldOf([policy, ...objects]), "one");
      const { value } = compileNode(view, attachmentsOf(objects), features);
      return present(value.ruleset, "ruleset").chains;
    };
    assert.deepEqual(rules(50), rules(2));
  });
});

describe("compiling a node", () => {
  test("says which attached pods the view does not know, and isolates them", () => {
    const { view, attachments } = load("unknown-pod");
    const { diagnostics } = compileNode(view, attachments, features);
    assert.deepEqual(
      diagnostics.map(({ code, where }) => [code, where]),
      [["HEDDLE0301", "Pod shop/ghost"]],
    );
  });

  test("takes a pod of the same name and another uid for one it does not know", () => {
    const { view, attachments } = load("pods-without-policy");
    const later = attachments.map((each) => ({ ...each, uid: "another" }));
    const { value, diagnostics } = compileNode(view, later, features);
    assert.equal(diagnostics.length, 1);
    const egress = value.ruleset?.maps.find(({ name }) => name === "egress");
    assert.equal(egress?.elements.get(`"${later[0]?.hostLink}"`), "goto egress-unknown");
  });

  test("gives an attached pod its identity before the server has heard of its address", () => {
    const { view, attachments } = load("default-deny");
    const early: NodeView = {
      ...view,
      workloads: view.workloads.map((each) => ({ ...each, addresses: [] })),
    };
    const identities = (from: NodeView) =>
      present(compileNode(from, attachments, features).value.ruleset, "ruleset").maps.find(
        ({ name }) => name === "identity",
      )?.elements;
    assert.equal(identities(early)?.get("10.244.0.1"), identities(view)?.get("10.244.0.1"));
  });

  test("gives equal states for equal inputs, remembered or not", () => {
    for (const name of ["peers-and-ports", "services"]) {
      const { view, attachments } = load(name);
      const first = compileNode(view, attachments, features).value;
      assert.deepEqual(compileNode(view, attachments, features).value, first);
      assert.deepEqual(compileNode(structuredClone(view), attachments, features).value, first);
      assert.deepEqual(
        planNode(compileNode(structuredClone(view), attachments, features).value, first),
        [],
      );
    }
  });

  test("routes by way of the nodes where the kernel has no VXLAN, and says so", () => {
    const { view, attachments } = load("pods-without-policy");
    const { value, diagnostics } = compileNode(view, attachments, { ...features, vxlan: false });
    assert.deepEqual(
      diagnostics.map(({ code }) => code),
      ["HEDDLE0302"],
    );
    assert.ok(value.links.every((link) => link.kind === "veth"));
  });

  test("refuses WireGuard with what the kernel said of it, and leads no way to other nodes", () => {
    const { view, attachments } = load("pods-without-policy");
    const settings = { ...view.settings, encap: { kind: "wireguard", port: 51871 } } as const;
    for (const [wireguard, words] of [
      [{}, /was not asked/],
      [{ wireguard: "absent" }, /does not have it/],
      [{ wireguard: "denied" }, /may not find out/],
      [{ wireguard: "no-tool" }, /wireguard-tools/],
      [{ wireguard: "no-key" }, /the file of its key holds none/],
    ] as const) {
      const able = { ...features, ...wireguard };
      const wanted = compileNode({ ...view, settings }, attachments, able);
      const refusal = wanted.diagnostics.find(({ code }) => code === "HEDDLE0305");
      assert.match(refusal?.message ?? "", words);
      assert.ok(wanted.value.links.every((link) => link.kind === "veth"));
    }
  });
});

const policy: Resource & { spec: unknown } = {
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { namespace: "shop", name: "web" },
  spec: {
    podSelector: { matchLabels: { app: "web" } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: "web" } } }], ports: [{ port: 80 }] }],
  },
};

function podObject(index: number): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "shop", name: `web-${index}`, uid: `${index}`, labels: { app: "web" } },
    spec: { nodeName: "one", containers: [] },
    status: { podIP: `10.244.0.${index}` },
  };
}

function compiled(name: string): NodeState {
  const { view, attachments } = load(name);
  return compileNode(view, attachments, features).value;
}

function load(name: string): {
  readonly view: NodeView;
  readonly attachments: readonly Attachment[];
} {
  const documents = parseAllDocuments(readFileSync(join(folder, `${name}.yaml`), "utf8"));
  const parsed: readonly unknown[] = documents.map((document) => document.toJS());
  const objects = parsed.filter((each): each is Resource => has(each, "kind"));
  const extra = parsed.filter((each): each is { attachments: readonly Partial<Attachment>[] } =>
    has(each, "attachments"),
  );
  const world = worldOf(objects);
  return {
    view: viewFor(world, "one"),
    attachments: [
      ...attachmentsOf(objectsOf<Pod>(world, "Pod").filter((pod) => pod.spec.nodeName === "one")),
      ...extra.flatMap(({ attachments }) => attachments.map(attachment)),
    ],
  };
}

function has(value: unknown, key: string): boolean {
  return typeof value === "object" && value !== null && key in value;
}

function attachmentsOf(pods: readonly Pod[]): readonly Attachment[] {
  return pods.map(({ metadata, status }) =>
    attachment({
      name: metadata.name,
      ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
      ...(metadata.uid === undefined ? {} : { uid: metadata.uid }),
      ...(status?.podIP === undefined ? {} : { addresses: [status.podIP] }),
    }),
  );
}

function attachment(known: Partial<Attachment>): Attachment {
  const { namespace = "default", name = "", uid = "", addresses = [] } = known;
  const containerId = `${namespace}-${name}`;
  return {
    containerId,
    ifName: "eth0",
    netns: `/run/netns/${containerId}`,
    namespace,
    name,
    uid,
    addresses,
    hostLink: hostLinkName(containerId, "eth0"),
    mac: podMac(containerId, "eth0"),
  };
}
