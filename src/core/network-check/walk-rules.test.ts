import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseCidr } from "../../base/ip.ts";
import type { ForeignChain } from "../../model/foreign-rules.ts";
import { parseSave } from "../../wire/nft/iptables-save.ts";
import { parseTable } from "../../wire/nft/listing.ts";
import { dropOf, type Packet } from "./walk-rules.ts";

const pods: Packet = {
  iifname: "hd0123456789",
  oifname: "hdvxlan",
  source: parseCidr("10.244.0.0/26"),
  destination: parseCidr("10.244.0.64/26"),
  protocol: "tcp",
};
const wrapped: Packet = {
  iifname: "eth0",
  oifname: "",
  source: parseCidr("192.0.2.12/32"),
  destination: parseCidr("192.0.2.11/32"),
  protocol: "udp",
  port: 4789,
};

/** `certain`, `perhaps` or `no`. */
function drops(chains: readonly ForeignChain[], packet: Packet): string {
  const [base] = chains;
  assert.ok(base !== undefined);
  const drop = dropOf(base, chains, packet);
  return drop === undefined ? "no" : drop.isCertain ? "certain" : "perhaps";
}

function listing(policy: string, rules: readonly string[], others = ""): readonly ForeignChain[] {
  const lines = rules.map((rule) => `\t\t${rule}`).join("\n");
  return parseTable(
    `table inet fw {\n\tchain base {\n\t\ttype filter hook forward priority filter; policy ${policy};\n${lines}\n\t}\n${others}}\n`,
  );
}

describe("rules of others", () => {
  const cases: readonly (readonly [
    policy: string,
    rules: string[],
    packet: Packet,
    want: string,
  ])[] = [
    ["accept", [], pods, "no"],
    ["drop", [], pods, "certain"],
    ["drop", ["ct state established,related accept"], pods, "certain"],
    [
      "drop",
      ["ct state vmap { established : accept, related : accept, invalid : drop }"],
      pods,
      "certain",
    ],
    ["drop", ['iifname "hd*" accept'], pods, "no"],
    ["drop", ['oifname "hdvxlan" accept'], pods, "no"],
    ["drop", ['iifname != "eth0" accept'], pods, "no"],
    ["drop", ['iifname { "eth0", "hd*" } counter packets 3 bytes 9 accept'], pods, "no"],
    ["drop", ["ip saddr @trusted accept"], pods, "perhaps"],
    ["drop", ["tcp dport 443 accept"], pods, "perhaps"],
    ["accept", ["ip saddr 10.244.0.0/16 drop"], pods, "certain"],
    ["accept", ['ip saddr 10.244.0.0/16 log prefix "no, thanks " reject'], pods, "certain"],
    ["accept", ["ip saddr 10.244.0.9 drop"], pods, "perhaps"],
    ["accept", ["ip saddr != 10.244.0.0/16 drop"], pods, "no"],
    ["accept", ["ip daddr 10.244.0.64-10.244.0.127 drop"], pods, "certain"],
    ["accept", ["ip saddr 203.0.113.9 drop"], pods, "no"],
    ["accept", ["ip6 saddr fd00::/8 drop"], pods, "no"],
    ["accept", ["tcp dport 25 drop"], pods, "perhaps"],
    ["accept", ["udp dport 53 drop"], pods, "no"],
    ["accept", ["meta l4proto { tcp, udp } drop"], pods, "certain"],
    ["accept", ["meta nfproto ipv6 drop"], pods, "no"],
    ["accept", ["ct state invalid drop"], pods, "no"],
    ["accept", ["limit rate over 10/second drop"], pods, "perhaps"],
    ["accept", ["udp dport { 53, 4789 } drop"], wrapped, "certain"],
    ["accept", ["udp dport 4000-5000 drop"], wrapped, "certain"],
    ["accept", ["udp dport 4788 drop"], wrapped, "no"],
    ["drop", ["udp dport 4789 accept"], wrapped, "no"],
    ["drop", ["ip protocol icmp accept", "tcp dport 22 accept"], wrapped, "certain"],
    ["accept", ['iifname vmap { "eth0" : drop, "eth1" : accept }'], wrapped, "certain"],
  ];
  for (const [policy, rules, packet, want] of cases) {
    test(`policy ${policy}, ${rules.join("; ") || "no rules"}: ${want}`, () => {
      assert.equal(drops(listing(policy, rules), packet), want);
    });
  }

  test("are followed into chains that they jump to, and back", () => {
    const user =
      '\tchain user {\n\t\tiifname "docker0" drop\n\t\tip saddr 10.0.0.0/8 jump deep\n\t}\n';
    const deep = "\tchain deep {\n\t\tRULE\n\t}\n";
    const jumping = (rule: string) =>
      listing("accept", ["jump user"], user + deep.replace("RULE", rule));
    assert.equal(drops(jumping("drop"), pods), "certain");
    assert.equal(drops(jumping("return"), pods), "no");
    assert.equal(drops(jumping("tcp dport 80 drop"), pods), "perhaps");
    const open = listing("accept", ["tcp dport 80 jump user"], user + deep.replace("RULE", "drop"));
    assert.equal(drops(open, pods), "perhaps");
  });

  test("that lead in a circle, or nowhere, end in not knowing", () => {
    const round = listing("drop", ["jump a"], "\tchain a {\n\t\tjump a\n\t}\n");
    assert.equal(drops(round, pods), "perhaps");
    assert.equal(drops(listing("drop", ["jump absent"]), pods), "perhaps");
  });

  test("of legacy iptables are read from what it saves", () => {
    const save = (rules: string) =>
      parseSave(`*filter\n:FORWARD DROP [0:0]\n:DOCKER - [0:0]\n${rules}\nCOMMIT\n`, "ip");
    assert.equal(drops(save(""), pods), "certain");
    assert.equal(drops(save("-A FORWARD -i hd+ -j ACCEPT"), pods), "no");
    assert.equal(
      drops(save('-A FORWARD ! -i eth0 -m comment --comment "x y" -j ACCEPT'), pods),
      "no",
    );
    assert.equal(drops(save("-A FORWARD -m set --match-set x src -j ACCEPT"), pods), "perhaps");
    assert.equal(
      drops(
        save(
          "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A FORWARD -j DOCKER",
        ),
        pods,
      ),
      "certain",
    );
  });

  test("of iptables on nftables are known by their table, and are changed by its tool", () => {
    const table =
      "table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n";
    assert.equal(parseTable(table)[0]?.tool, "iptables");
    assert.equal(listing("drop", [])[0]?.tool, "nft");
  });
});
