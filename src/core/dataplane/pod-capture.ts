/**
 * The rules inside a pod's namespace that hand its TCP to its sidecar.
 *
 * Outbound: whatever the application sends, to 15001. Inbound: whatever comes from outside, to 15006. Left alone are
 * the sidecar's own connections (known by their user), connections that never leave the pod, DNS to the node, the two
 * ports at which the sidecar itself answers from outside, and what the pod's annotations leave out. A pod that calls a
 * Service and is given itself is the one case in which the sidecar speaks to the sidecar: that connection counts as one
 * from outside. The sidecar asks the kernel where a connection wanted to go (SO_ORIGINAL_DST). UDP and everything else
 * passes unseen.
 *
 * Sidecars speak IPv4. TCP over IPv6 that they would take would go past them, and past what they enforce, so it is
 * refused at both ends: whoever has both families goes on with IPv4 at once.
 */

import { familyOf, type IpFamily } from "../../base/ip.ts";
import { nameServers, nftTable, ports, proxyUid, selfSource } from "../../model/names.ts";
import type { NftChain, Ruleset } from "../../model/node-state.ts";
import type { CaptureView } from "../../model/node-view.ts";

/** `capture`: what of the pod's TCP is taken; all where it says nothing. */
export function compilePodCapture(capture: CaptureView = {}): Ruleset {
  return {
    table: nftTable,
    sets: [],
    maps: [],
    chains: [
      captureOutbound(capture),
      captureInbound(capture),
      refuseOutbound(capture),
      refuseInbound(capture),
    ],
  };
}

function captureOutbound(capture: CaptureView): NftChain {
  const own = inboundMatch(capture);
  const itself = `meta skuid ${proxyUid} oifname "lo" ip saddr ${selfSource}`;
  return {
    name: "capture-outbound",
    hook: "type nat hook output priority -100; policy accept;",
    rules: [
      ...(own === undefined ? [] : [`${itself} ${own} redirect to :${ports.inbound}`]),
      `meta skuid ${proxyUid} return`,
      'oifname "lo" return',
      `ip daddr ${nameServers.IPv4} tcp dport 53 return`,
      ...outboundRules(capture, "IPv4", `redirect to :${ports.outbound}`, "return"),
    ],
  };
}

function captureInbound(capture: CaptureView): NftChain {
  const taken = inboundMatch(capture);
  return {
    name: "capture-inbound",
    hook: "type nat hook prerouting priority dstnat; policy accept;",
    rules: [
      'iifname "lo" return',
      `tcp dport { ${ports.metrics}, ${ports.readiness} } return`,
      ...(taken === undefined ? [] : [`meta nfproto ipv4 ${taken} redirect to :${ports.inbound}`]),
    ],
  };
}

function refuseOutbound(capture: CaptureView): NftChain {
  return {
    name: "refuse-outbound",
    hook: "type filter hook output priority filter; policy accept;",
    rules: [
      'oifname "lo" accept',
      ...answers(capture),
      `ip6 daddr ${nameServers.IPv6} tcp dport 53 accept`,
      ...outboundRules(capture, "IPv6", refuse, "accept"),
    ],
  };
}

function refuseInbound(capture: CaptureView): NftChain {
  const taken = inboundMatch(capture, [ports.metrics, ports.readiness]);
  return {
    name: "refuse-inbound",
    hook: "type filter hook input priority filter; policy accept;",
    rules: [
      'iifname "lo" accept',
      ...answers(capture),
      `ip6 saddr ${nameServers.IPv6} tcp sport 53 accept`,
      ...(taken === undefined ? [] : [`meta nfproto ipv6 ${taken} ${refuse}`]),
    ],
  };
}

const refuse = "reject with tcp reset";

/** Packets back of connections over IPv6 that go past the sidecar; without exceptions there are none. */
function answers(capture: CaptureView): readonly string[] {
  return Object.keys(capture).length === 0 ? [] : ["ct direction reply accept"];
}

/** What of that which comes in is taken, as a match; undefined: nothing. `own`: ports of the sidecar itself. */
function inboundMatch(
  { inboundPorts, exceptInboundPorts = [] }: CaptureView,
  own: readonly number[] = [],
): string | undefined {
  if (inboundPorts !== undefined) {
    return inboundPorts.length === 0 ? undefined : `tcp dport ${setOf(inboundPorts)}`;
  }
  const left = [...own, ...exceptInboundPorts];
  return left.length === 0 ? "meta l4proto tcp" : `tcp dport != ${setOf(left)}`;
}

/** `take` and `leave`: what is done with that which is taken, and with what is left alone. */
function outboundRules(
  capture: CaptureView,
  family: IpFamily,
  take: string,
  leave: string,
): readonly string[] {
  const { outboundRanges, outboundPorts = [], exceptOutboundPorts = [] } = capture;
  const all = `meta nfproto ${family.toLowerCase()}`;
  const to = (range: string) => `${family === "IPv4" ? "ip" : "ip6"} daddr ${range}`;
  const own = (ranges: readonly string[] = []) =>
    ranges.filter((range) => familyOf(range) === family);
  return [
    ...(exceptOutboundPorts.length === 0
      ? []
      : [`tcp dport ${setOf(exceptOutboundPorts)} ${leave}`]),
    ...own(capture.exceptOutboundRanges).map((range) => `${to(range)} ${leave}`),
    ...(outboundPorts.length === 0 ? [] : [`${all} tcp dport ${setOf(outboundPorts)} ${take}`]),
    ...(outboundRanges === undefined
      ? [`${all} meta l4proto tcp ${take}`]
      : own(outboundRanges).map((range) => `${to(range)} meta l4proto tcp ${take}`)),
  ];
}

function setOf(numbers: readonly number[]): string {
  return `{ ${numbers.join(", ")} }`;
}
