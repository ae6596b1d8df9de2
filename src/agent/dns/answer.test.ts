import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import { decodeMessage } from "../../wire/dns/decode.ts";
import { encodeMessage } from "../../wire/dns/encode.ts";
import { recordTypes } from "../../wire/dns/message.ts";
import { answerQuery } from "./answer.ts";
import { query, show, table } from "./testdata/names.ts";

describe("the name server", () => {
  // name, type, response code, answers
  const rows: readonly (readonly [string, keyof typeof recordTypes, number, readonly string[]])[] =
    [
      ["cart.shop.svc.cluster.local", "A", 0, ["A 10.96.0.7"]],
      ["CART.shop.SVC.cluster.local", "A", 0, ["A 10.96.0.7"]],
      ["cart.shop.svc.cluster.local", "AAAA", 0, []],
      ["redis.shop.svc.cluster.local", "A", 0, ["A 10.244.0.5", "A 10.244.0.6"]],
      ["redis-0.redis.shop.svc.cluster.local", "A", 0, ["A 10.244.0.5"]],
      ["_http._tcp.cart.shop.svc.cluster.local", "SRV", 0, ["SRV 80 cart.shop.svc.cluster.local"]],
      ["7.0.96.10.in-addr.arpa", "PTR", 0, ["PTR cart.shop.svc.cluster.local"]],
      [
        "alias.shop.svc.cluster.local",
        "A",
        0,
        ["CNAME cart.shop.svc.cluster.local", "A 10.96.0.7"],
      ],
      ["alias.shop.svc.cluster.local", "CNAME", 0, ["CNAME cart.shop.svc.cluster.local"]],
      ["dangling.shop.svc.cluster.local", "A", 3, ["CNAME no.shop.svc.cluster.local"]],
      ["shop.svc.cluster.local", "A", 0, []],
      ["no.shop.svc.cluster.local", "A", 3, []],
      ["example.com.shop.svc.cluster.local", "A", 3, []],
    ];
  for (const [name, type, code, answers] of rows) {
    test(`answers ${type} of ${name} with ${code === 0 ? answers.join(", ") || "nothing" : "no such name"}`, () => {
      const answer = answerQuery(query(name, recordTypes[type]), table);
      assert.equal(answer.kind, "reply");
      if (answer.kind !== "reply") return;
      assert.equal(answer.message.responseCode, code);
      assert.equal(answer.message.authoritative, true);
      assert.deepEqual(answer.message.answers.map(show), answers);
      if (answers.length === 0) assert.equal(answer.message.authorities[0]?.kind, "SOA");
    });
  }

  test("sends names outside the cluster elsewhere, with the aliases that led there", () => {
    const direct = answerQuery(query("example.com", recordTypes.A), table);
    assert.equal(direct.kind === "elsewhere" && direct.question.name, "example.com");
    const alias = answerQuery(query("bank.shop.svc.cluster.local", recordTypes.A), table);
    assert.ok(alias.kind === "elsewhere");
    assert.equal(alias.question.name, "api.bank.example");
    assert.deepEqual(alias.partial.answers.map(show), ["CNAME api.bank.example"]);
  });

  test("ends an endless chain of aliases", () => {
    const answer = answerQuery(query("ouroboros.shop.svc.cluster.local", recordTypes.A), table);
    assert.equal(answer.kind === "reply" && answer.message.responseCode, 2);
  });

  test("before the first view says try again", () => {
    const answer = answerQuery(query("cart.shop.svc.cluster.local", recordTypes.A), undefined);
    assert.equal(answer.kind === "reply" && answer.message.responseCode, 2);
  });

  test("answers any query that decodes, and echoes its question", () => {
    const name = fc.constantFrom("cart.shop.svc.cluster.local", "a.b", "", "x.cluster.local");
    fc.assert(
      fc.property(name, fc.nat(65_535), fc.nat(65_535), fc.nat(15), (asked, type, id, opcode) => {
        const answer = answerQuery({ ...query(asked, type), id, opcode }, table);
        const message = answer.kind === "reply" ? answer.message : answer.partial;
        assert.equal(message.id, id);
        assert.equal(message.questions[0]?.name, asked);
        decodeMessage(encodeMessage(message, 512));
      }),
    );
  });
});
