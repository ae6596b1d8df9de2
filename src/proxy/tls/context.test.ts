import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { MeshError } from "../../base/error.ts";
import { allocatedBytes } from "../testing/allocated-bytes.ts";
import { createMeshCa, type ProxySecrets } from "../testing/mesh-ca.ts";
import { TlsContext, type TlsContextOptions } from "./context.ts";

let secrets: ProxySecrets;
let other: ProxySecrets;
before(async () => {
  secrets = await (await createMeshCa()).secrets("spiffe://cluster.local/ns/shop/sa/cart");
  other = await (await createMeshCa()).secrets("spiffe://cluster.local/ns/shop/sa/cart");
});

function contextOf(options: Partial<TlsContextOptions>): TlsContext {
  return new TlsContext({
    own: undefined,
    roots: undefined,
    sessionName: "test",
    sessionSeconds: 60,
    ...options,
  });
}

function problemOf(options: Partial<TlsContextOptions>): string {
  try {
    contextOf(options);
  } catch (error) {
    assert.ok(error instanceof MeshError);
    assert.equal(error.code, "proxy.tls.context");
    return error.message;
  }
  return "none";
}

describe("a context", () => {
  test("is not made with roots behind a malformed one left out, nor with a chain so", () => {
    const [own, { roots }] = secrets;
    const second = other[1].roots;
    const broken = second.replace(/\n[A-Za-z0-9+/]{10}/, "\n!!!!!!!!!!");
    const cut = second.slice(0, second.length / 2);
    const wrong = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert.equal(problemOf({ roots: `# two\n${roots}\n${second}\n\n` }), "none");
    assert.match(
      problemOf({ roots: roots + broken + second }),
      /^roots\[1\]: must be .* got bad base64/,
    );
    assert.match(problemOf({ roots: roots + cut }), /^roots\[1\]: must be .* got bad end line/);
    assert.match(
      problemOf({ roots: wrong + roots }),
      /^roots\[0\]: must be .* got wrong tag|^roots\[0\]/,
    );
    assert.match(problemOf({ own: { ...own, chain: own.chain + broken } }), /^chain\[1\]: must be/);
    assert.match(problemOf({ roots: "" }), /^roots: must be certificates in PEM, got none/);
    const many = roots.repeat(1_001);
    assert.match(problemOf({ roots: many }), /^roots: must be at most 1000 certificates, got more/);
  });

  test("says what of a certificate does not fit", () => {
    const [own] = secrets;
    assert.match(problemOf({ own: { ...own, key: "" } }), /^key: must be a private key in PEM/);
    const stranger = { ...own, key: other[0].key };
    assert.match(problemOf({ own: stranger }), /^key: must be that of chain\[0\]/);
    const sessionName = "x".repeat(33);
    assert.match(problemOf({ sessionName }), /^sessionName: must be at most 32 bytes/);
  });

  test("that cannot be made gives back all that was read for it", () => {
    const [own, { roots }] = secrets;
    const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const round = () => {
      for (let i = 0; i < 200; i++) {
        problemOf({ roots: roots + broken });
        problemOf({ own: { ...own, chain: own.chain + broken } });
        problemOf({ own: { ...own, key: other[0].key }, roots });
      }
    };
    round();
    const before = allocatedBytes();
    round();
    const grownBytes = allocatedBytes() - before;
    assert.ok(grownBytes < 1_000_000, `grew by ${grownBytes} bytes in 600 contexts`);
  });
});
