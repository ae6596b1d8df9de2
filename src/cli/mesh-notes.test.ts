import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Resource } from "../api/resource.ts";
import type { HttpTransport } from "../rpc/http-transport.ts";
import { meshNotes, notesAbout, renderMeshCheck, renderNote } from "./mesh-notes.ts";

const missing = {
  severity: "warning",
  code: "HEDDLE0118",
  where: "VirtualService shop/cart spec.http[0].delegate",
  message: "there is no VirtualService team/pages: the rule is left out",
};
const subset = {
  severity: "warning",
  code: "HEDDLE0102",
  where: "VirtualService shop/cart-2 spec.http[0].route[0].destination.subset",
  message: "no DestinationRule for cart.shop.svc.cluster.local has a subset v9",
};

/** A server whose clients have these notes. */
function serving(clients: readonly unknown[] | undefined): HttpTransport {
  return {
    send: async () => ({ code: 200, body: { clients }, warnings: [] }),
    lines: () => assert.fail("nobody watches here"),
    close() {},
  };
}

const clients = [
  { id: "agent~node-1", kind: "agent" },
  ...["web-2.b", "web-1.b", "a.a", "c.c"].map((pod) => ({
    id: `sidecar~10.244.0.5~${pod}~b.svc.cluster.local`,
    kind: "sidecar",
    notes: [missing, ...(pod === "a.a" ? [subset] : [])],
  })),
  { id: "sidecar~10.244.0.9~d.d~d.svc.cluster.local", kind: "sidecar" },
];

describe("notes of the mesh", () => {
  test("are said once, with who has them", async () => {
    assert.equal(
      renderMeshCheck(await meshNotes(serving(clients))),
      `✗ HEDDLE0102 VirtualService shop/cart-2 spec.http[0].route[0].destination.subset: no DestinationRule for cart.shop.svc.cluster.local has a subset v9
    in a/a
✗ HEDDLE0118 VirtualService shop/cart spec.http[0].delegate: there is no VirtualService team/pages: the rule is left out
    in a/a, b/web-1, b/web-2 and 1 more
2 found: the rest of what is written stands, in 5 sidecars and gateways`,
    );
    assert.equal(
      renderMeshCheck(await meshNotes(serving([]))),
      "✓ 0 sidecars and gateways do what is written",
    );
  });

  test("are about an object where they are on it or name it", async () => {
    const all = await meshNotes(serving(clients));
    const about = (kind: string, namespace: string, name: string) =>
      notesAbout(all, [{ apiVersion: "v1", kind, metadata: { namespace, name } } as Resource]);
    assert.deepEqual(about("VirtualService", "shop", "cart").map(renderNote), [
      "HEDDLE0118 VirtualService shop/cart spec.http[0].delegate: there is no VirtualService team/pages: the rule is left out",
    ]);
    assert.deepEqual(
      about("VirtualService", "team", "pages"),
      about("VirtualService", "shop", "cart"),
    );
    assert.deepEqual(about("VirtualService", "team", "page"), []);
    assert.deepEqual(about("Service", "shop", "cart"), []);
  });

  test("of a server that answers something else are an error", async () => {
    await assert.rejects(meshNotes(serving(undefined)), {
      code: "cli.answer",
      message: "ask for notes: the server answered something else; is it of another version?",
    });
  });
});
