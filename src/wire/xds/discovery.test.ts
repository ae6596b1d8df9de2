/** The messages of delta discovery, as others may write them. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeResponse, encodeResponse } from "./discovery.ts";

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));

test("a resource that writes its type out as nothing has the response's", () => {
  // type_url (4) "T"; resources (2) { name (3) "x", resource (2) { type_url (1) "", value (2) 01 } }
  const { resources } = decodeResponse(hex("220154120a1a017812050a00120101"));
  assert.deepEqual(resources, [{ typeUrl: "T", name: "x", version: "", bytes: Uint8Array.of(1) }]);
});

test("a resource without content was printed as one of the response's type", () => {
  // type_url (4) "T"; resources (2) { name (3) "x" }
  const read = decodeResponse(hex("22015412031a0178"));
  assert.deepEqual(decodeResponse(encodeResponse(read)).resources, read.resources);
});

test("a name that is written twice is the last one, also where that is empty", () => {
  const { nonce } = decodeResponse(hex("2a016e2a00"));
  assert.equal(nonce, "");
});
