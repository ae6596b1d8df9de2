/** The rules of capture as text, and for what the annotations of a pod can leave out of it. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { CaptureView } from "../../model/node-view.ts";
import { compilePodCapture } from "./pod-capture.ts";

const rulesOf = (capture?: CaptureView): Readonly<Record<string, readonly string[]>> =>
  Object.fromEntries(compilePodCapture(capture).chains.map(({ name, rules }) => [name, rules]));

describe("the capture of a pod", () => {
  test("takes all IPv4 and refuses all IPv6, but for names and the sidecar's own", () => {
    assert.deepEqual(rulesOf(), {
      "capture-outbound": [
        'meta skuid 1337 oifname "lo" ip saddr 127.0.0.6 meta l4proto tcp redirect to :15006',
        "meta skuid 1337 return",
        'oifname "lo" return',
        "ip daddr 169.254.1.1 tcp dport 53 return",
        "meta nfproto ipv4 meta l4proto tcp redirect to :15001",
      ],
      "capture-inbound": [
        'iifname "lo" return',
        "tcp dport { 15020, 15021 } return",
        "meta nfproto ipv4 meta l4proto tcp redirect to :15006",
      ],
      "refuse-outbound": [
        'oifname "lo" accept',
        "ip6 daddr fd68:6564:646c::53 tcp dport 53 accept",
        "meta nfproto ipv6 meta l4proto tcp reject with tcp reset",
      ],
      "refuse-inbound": [
        'iifname "lo" accept',
        "ip6 saddr fd68:6564:646c::53 tcp sport 53 accept",
        "meta nfproto ipv6 tcp dport != { 15020, 15021 } reject with tcp reset",
      ],
    });
  });

  test("leaves out ports and ranges, in either family", () => {
    const rules = rulesOf({
      exceptInboundPorts: [9090],
      exceptOutboundPorts: [3306, 6379],
      exceptOutboundRanges: ["192.0.2.0/24", "fd00::/8"],
    });
    assert.deepEqual(rules["capture-outbound"]?.slice(4), [
      "tcp dport { 3306, 6379 } return",
      "ip daddr 192.0.2.0/24 return",
      "meta nfproto ipv4 meta l4proto tcp redirect to :15001",
    ]);
    assert.deepEqual(rules["capture-inbound"]?.slice(2), [
      "meta nfproto ipv4 tcp dport != { 9090 } redirect to :15006",
    ]);
    assert.deepEqual(rules["refuse-outbound"], [
      'oifname "lo" accept',
      "ct direction reply accept",
      "ip6 daddr fd68:6564:646c::53 tcp dport 53 accept",
      "tcp dport { 3306, 6379 } accept",
      "ip6 daddr fd00::/8 accept",
      "meta nfproto ipv6 meta l4proto tcp reject with tcp reset",
    ]);
    assert.deepEqual(rules["refuse-inbound"]?.slice(1), [
      "ct direction reply accept",
      "ip6 saddr fd68:6564:646c::53 tcp sport 53 accept",
      "meta nfproto ipv6 tcp dport != { 15020, 15021, 9090 } reject with tcp reset",
    ]);
  });

  test("takes only what is listed", () => {
    const rules = rulesOf({
      inboundPorts: [80],
      outboundRanges: ["10.0.0.0/8"],
      outboundPorts: [443],
    });
    assert.equal(
      rules["capture-outbound"]?.[0],
      'meta skuid 1337 oifname "lo" ip saddr 127.0.0.6 tcp dport { 80 } redirect to :15006',
    );
    assert.deepEqual(rules["capture-outbound"]?.slice(4), [
      "meta nfproto ipv4 tcp dport { 443 } redirect to :15001",
      "ip daddr 10.0.0.0/8 meta l4proto tcp redirect to :15001",
    ]);
    assert.deepEqual(rules["refuse-outbound"]?.slice(3), [
      "meta nfproto ipv6 tcp dport { 443 } reject with tcp reset",
    ]);
    assert.deepEqual(rules["refuse-inbound"]?.slice(3), [
      "meta nfproto ipv6 tcp dport { 80 } reject with tcp reset",
    ]);
    const none = rulesOf({ inboundPorts: [], outboundRanges: [] });
    assert.ok(
      !Object.values(none)
        .flat()
        .some((rule) => /redirect|reject/.test(rule)),
    );
  });
});
