import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { CheckProgress } from "../../model/network-check.ts";
import { checkProgress } from "./parse-check.ts";
import { parseReportAnswer } from "./parse-tap.ts";

const concluded: CheckProgress = {
  check: "0011aaff",
  phase: "concluded",
  evidence: {
    probes: [
      {
        ...{ peer: "b", way: "overlay", from: "192.0.2.1", to: "192.0.2.2", link: "hdvxlan" },
        small: { sent: 1, answered: 1 },
        full: { sent: 3, answered: 0, bytes: 1_450 },
        largestBytes: 1_350,
        datagrams: 12,
        unsent: "Message too long (EMSGSIZE)",
      },
    ],
    heard: [{ from: "b", way: "underlay", echoes: 4, largestBytes: 1_500, datagrams: 12 }],
    counters: {
      udpChecksumErrors: 1,
      tcpChecksumErrors: 2,
      icmpChecksumErrors: 3,
      invalidPackets: 4,
      reversePathDrops: 5,
    },
    reversePaths: [{ way: "overlay", link: "hdvxlan", filter: 1 }],
    drops: [
      {
        ...{ traffic: "pods-in", tool: "iptables", family: "ip", table: "filter" },
        ...{ chain: "FORWARD", hook: "forward", isCertain: true, inChain: "DOCKER", rule: "drop" },
        peers: ["b"],
      },
    ],
    unread: ["table inet x: too long to be judged"],
    ruleset: ["nftables chain forward is absent"],
    settings: [{ key: "net.ipv4.ip_forward", found: "0", wanted: "1" }],
    refused: "no space",
    podLinks: ["pod shop/web: create veth hd05: the pod has an interface eth0 already"],
    hairpinLost: ["pod shop/web asked 10.96.0.7 port 80: no answer within 1.5 s"],
    names: {
      server: "169.254.1.1",
      pid: 7,
      cluster: {
        name: "x",
        pairs: 5,
        a: { answered: 5, failures: 0, slowestMs: 3 },
        aaaa: { answered: 5, failures: 0, slowestMs: 3 },
      },
    },
    connections: {
      max: 9,
      samples: [{ at: 1, count: 2 }],
      ...{ dropped: 0, insertFailed: 0, earlyDropped: 0 },
    },
    agentSocket: "/run/heddle/agent.sock",
  },
};

describe("what a node says of a check", () => {
  test("is read as it was sent, without what nobody knows", () => {
    assert.deepEqual(checkProgress({ ...concluded, more: 1 }, "checks[0]"), concluded);
  });

  for (const [what, change, problem] of [
    ["another check's name", { check: "x" }, /checks\[0\]\.check: want eight hexadecimal digits/],
    ["a phase of its own", { phase: "done" }, /checks\[0\]\.phase: want one of/],
    [
      "a way that there is not",
      { evidence: { ...evidence(), heard: [{ from: "b", way: "sea" }] } },
      /evidence\.heard\[0\]\.way: want one of underlay, overlay, got "sea"/,
    ],
    [
      "more probes than there are nodes",
      { evidence: { ...evidence(), probes: new Array(3_000).fill({}) } },
      /evidence\.probes: want at most 2000 entries/,
    ],
    [
      "a rule as long as a book",
      { evidence: { ...evidence(), unread: ["x".repeat(3_000)] } },
      /evidence\.unread\[0\]: want a text of at most 2000/,
    ],
  ] as const) {
    test(`is refused with ${what}`, () => {
      assert.throws(() => checkProgress({ ...concluded, ...change }, "checks[0]"), problem);
    });
  }
});

function evidence(): object {
  return concluded.phase === "concluded" ? concluded.evidence : {};
}

test("a server of an earlier version orders no check", () => {
  assert.deepEqual(parseReportAnswer({ taps: [] }), { taps: [], checks: [] });
});
