import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../base/random.ts";
import { parseSave } from "./iptables-save.ts";
import { parseRule, parseTable, parseTableNames } from "./listing.ts";

const listing = `table inet fw {
	set trusted {
		type ipv4_addr
		flags interval
	}

	chain input {
		comment "ours"
		type filter hook input priority filter; policy drop;
		ct state vmap { invalid : drop, established : accept, related : accept }
		iifname { "eth0", "hd*" } udp dport { 53, 4789-4790 } counter packets 3 bytes 9 accept comment "x y"
		ip saddr @trusted meta l4proto tcp log prefix "a drop " reject with icmp admin-prohibited
		tcp flags & (fin | syn) == syn jump user
	}

	chain user {
		ip saddr . tcp dport @pairs return
	}
}
`;

const save = `*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
-A FORWARD -i eth0 ! -s 10.0.0.0/8 -p udp -m udp --dport 53:60 -m comment --comment "a b" -j DOCKER
COMMIT
`;

describe("a listing of nft", () => {
  test("is chains and rules, with what is not understood kept as unknown", () => {
    const [input, user, ...more] = parseTable(listing);
    assert.deepEqual(more, []);
    assert.deepEqual(input?.base, { type: "filter", hook: "input", policy: "drop" });
    assert.equal(user?.base, undefined);
    assert.deepEqual(
      input?.rules.map(({ verdict }) => verdict.kind),
      ["map", "accept", "drop", "jump"],
    );
    assert.deepEqual(input?.rules[1]?.conditions, [
      { field: "iifname", isNegated: false, values: ["eth0", "hd*"] },
      { field: "protocol", isNegated: false, values: ["udp"] },
      { field: "port", isNegated: false, values: ["53", "4789-4790"] },
    ]);
    for (const rule of [input?.rules[2], input?.rules[3], user?.rules[0]]) {
      assert.ok(
        rule?.conditions.some(({ field }) => field === "unknown"),
        rule?.text ?? "no rule",
      );
    }
  });

  test("of a link's own hook names the link", () => {
    const text =
      'table netdev x {\n\tchain c {\n\t\ttype filter hook ingress device "eth0" priority 0; policy accept;\n\t}\n}\n';
    assert.equal(parseTable(text)[0]?.base?.device, "eth0");
  });

  test("of tables is their names", () => {
    assert.deepEqual(parseTableNames("table ip nat\ntable inet heddle\n"), [
      "ip nat",
      "inet heddle",
    ]);
  });
});

test("any text is read to an end", () => {
  const random = seededRandom(11);
  const pieces = [
    " ",
    "{",
    "}",
    '"',
    ",",
    "\n\t\t",
    "vmap",
    "jump ",
    "ct state ",
    "!= ",
    "@",
    "-A ",
  ];
  for (let i = 0; i < 4_000; i++) {
    for (const text of [listing, save]) {
      const at = Math.floor(random() * text.length);
      const length = Math.floor(random() * 20);
      const piece = pieces[Math.floor(random() * pieces.length)] ?? "";
      const damaged = text.slice(0, at) + piece + text.slice(at + length);
      parseTable(damaged);
      parseSave(damaged, "ip");
      parseRule(damaged.slice(at, at + 60));
    }
  }
});
