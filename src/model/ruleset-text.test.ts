/** The text of a ruleset, as people review it. That nft takes it is shown by test/netns/kernel-nftables.test.ts. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { renderNewRuleset, renderRuleset, renderRulesetRemoval } from "./ruleset-text.ts";

describe("the text of a ruleset", () => {
  test("replaces the table in one transaction, sets first, one line for each rule and element", () => {
    const text = renderRuleset({
      table: "heddle",
      sets: [
        { name: "pods", type: "type ipv4_addr", elements: ["10.0.0.1", "10.0.0.2"] },
        { name: "none", type: "type ipv4_addr", flags: ["interval", "timeout"], elements: [] },
      ],
      maps: [
        {
          name: "links",
          type: "type ifname : verdict",
          elements: new Map([['"hd01"', "jump known"]]),
        },
      ],
      chains: [
        {
          name: "forward",
          hook: "type filter hook forward priority filter; policy accept;",
          rules: ["iifname vmap @links", "drop"],
        },
        { name: "known", rules: [] },
      ],
    });
    assert.equal(
      text,
      [
        "add table inet heddle",
        "delete table inet heddle",
        "table inet heddle {",
        "\tset pods {",
        "\t\ttype ipv4_addr",
        "\t\telements = {",
        "\t\t\t10.0.0.1,",
        "\t\t\t10.0.0.2",
        "\t\t}",
        "\t}",
        "\tset none {",
        "\t\ttype ipv4_addr",
        "\t\tflags interval, timeout",
        "\t}",
        "\tmap links {",
        "\t\ttype ifname : verdict",
        "\t\telements = {",
        '\t\t\t"hd01" : jump known',
        "\t\t}",
        "\t}",
        "\tchain forward {",
        "\t\ttype filter hook forward priority filter; policy accept;",
        "\t\tiifname vmap @links",
        "\t\tdrop",
        "\t}",
        "\tchain known {",
        "\t}",
        "}",
        "",
      ].join("\n"),
    );
  });

  test("of a new table makes it and deletes nothing", () => {
    assert.equal(
      renderNewRuleset({ table: "heddle", sets: [], maps: [], chains: [] }),
      "create table inet heddle\ntable inet heddle {\n\n}\n",
    );
  });

  test("of a removal succeeds whether the table exists or not", () => {
    assert.equal(
      renderRulesetRemoval("heddle"),
      "add table inet heddle\ndelete table inet heddle\n",
    );
  });
});
