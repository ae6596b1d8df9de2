/**
 * The kernel state that a node is to have: everything below follows from the view and the node's own attachments.
 *
 * An ADD is this function with one attachment more, a policy change is it with another view; there is no other path.
 * Parts that depend on one list of the view are remembered by that list's identity, so a caller that keeps unchanged
 * lists pays for what changed.
 */

import type { Compiled, Diagnostic } from "../../base/compiled.ts";
import { familyOf, hostCidr } from "../../base/ip.ts";
import { nameServers, podGateway, podGateways } from "../../model/names.ts";
import type {
  AddressSpec,
  KernelFeatures,
  LinkSpec,
  NodeState,
  RouteSpec,
  Sysctl,
} from "../../model/node-state.ts";
import type { Attachment, NetworkSettings, NodeView } from "../../model/node-view.ts";
import { hasOverlay, overlayFor, usesIpv6 } from "../topology/overlay.ts";
import { fastPathFor, fastPathSettings } from "./fast-path.ts";
import { hostPortMaps } from "./host-ports.ts";
import { nodeRuleset } from "./node-ruleset.ts";
import { podMaps } from "./pod-maps.ts";
import { serviceMaps } from "./service-maps.ts";

function sysctlsFor(settings: NetworkSettings): readonly Sysctl[] {
  const ipv4: Sysctl = { key: "net/ipv4/ip_forward", value: "1" };
  return usesIpv6(settings) ? [ipv4, { key: "net/ipv6/conf/all/forwarding", value: "1" }] : [ipv4];
}

/** Lets a node port of 127.0.0.1 lead to a pod; chain `loopback-guard` keeps everybody else from what listens there. */
const loopbackRouted: Sysctl = { key: "net/ipv4/conf/all/route_localnet", value: "1" };

export function compileNode(
  view: NodeView,
  attachments: readonly Attachment[],
  features: KernelFeatures,
): Compiled<NodeState> {
  const supported = withinFeatures(view, features);
  const overlay = overlayFor(supported.value, features.wireguard === "available");
  const { settings } = supported.value;
  const pods = podMaps(supported.value, attachments);
  const services = serviceMaps(supported.value);
  const hostPorts = hostPortMaps(attachments);
  const links = [...overlay.links, ...attachments.map((each) => podLink(each, overlay.podMtu))];
  return {
    value: {
      sysctls: [
        ...sysctlsFor(settings),
        ...(hasNodePorts(view) ? [loopbackRouted] : []),
        ...(features.fastPath === true ? fastPathSettings : []),
      ],
      links,
      // On `lo`, so that every pod link answers for it; the nodes' DNS server listens there.
      addresses: [
        { link: "lo", address: podGateway, prefixLength: 32 },
        ...(usesIpv6(settings)
          ? [{ link: "lo", address: nameServers.IPv6, prefixLength: 128 }]
          : []),
        ...overlay.addresses,
        ...attachments.flatMap(gatewayOnLink),
      ],
      neighbours: overlay.neighbours,
      forwarding: overlay.forwarding,
      ...(overlay.rules.length === 0 ? {} : { rules: overlay.rules }),
      routes: [...overlay.routes, ...attachments.flatMap(podRoutes)],
      ...(features.fastPath === true ? { fastPath: fastPathFor(links) } : {}),
      ruleset: nodeRuleset(supported.value, overlay.encryptedNodes, { pods, services, hostPorts }),
    },
    diagnostics: [
      ...supported.diagnostics,
      ...overlay.diagnostics,
      ...pods.diagnostics,
      ...services.diagnostics,
      ...hostPorts.diagnostics,
    ],
  };
}

function hasNodePorts({ services }: NodeView): boolean {
  return services.some(({ ports }) => ports.some(({ nodePort }) => nodePort !== undefined));
}

/** Without VXLAN in the kernel, nodes must share a link; saying so beats failing at the first device. */
function withinFeatures(view: NodeView, features: KernelFeatures): Compiled<NodeView> {
  if (view.settings.encap.kind === "wireguard") {
    return { value: view, diagnostics: wireguardRefusal(features) };
  }
  if (features.vxlan || !hasOverlay(view.settings.encap)) {
    return { value: view, diagnostics: [] };
  }
  return {
    value: { ...view, settings: { ...view.settings, encap: { kind: "none" } } },
    diagnostics: [
      {
        severity: "warning",
        code: "HEDDLE0302",
        where: "Network default spec.encap",
        message: "this kernel has no VXLAN; pods of other nodes are routed by way of their nodes",
      },
    ],
  };
}

/** What is to be encrypted is not sent in the clear instead. */
function wireguardRefusal({ wireguard }: KernelFeatures): readonly Diagnostic[] {
  if (wireguard === "available") return [];
  const found = {
    absent: "this kernel does not have it",
    denied: "whether this kernel has it the agent may not find out",
    "no-tool": "the program wg, which sets it up, is not installed (Debian: wireguard-tools)",
    "no-key": "the file of its key holds none (the agent's log names it)",
    unasked: "whether this kernel has it was not asked",
  }[wireguard ?? "unasked"];
  return [
    {
      severity: "error",
      code: "HEDDLE0305",
      where: "Network default spec.encap",
      message: `wireguard is not available on this node, ${found}: pods of other nodes cannot be reached, and nothing is sent to them in the clear`,
    },
  ];
}

/** The kernel answers for an IPv6 address only on the link that has it. */
function gatewayOnLink({ addresses, hostLink }: Attachment): readonly AddressSpec[] {
  return addresses.some((address) => familyOf(address) === "IPv6")
    ? [{ link: hostLink, address: podGateways.IPv6, prefixLength: 64 }]
    : [];
}

function podLink(attachment: Attachment, mtu: number): LinkSpec {
  const { bandwidth: { ingress, egress } = {}, hostPorts } = attachment;
  return {
    kind: "veth",
    name: attachment.hostLink,
    mtu,
    ...(ingress === undefined ? {} : { limit: ingress }),
    ...(hostPorts === undefined ? {} : { routesLoopback: true }),
    peer: {
      netns: attachment.netns,
      ifName: attachment.ifName,
      mac: attachment.mac,
      addresses: attachment.addresses,
      ...(egress === undefined ? {} : { limit: egress }),
    },
  };
}

function podRoutes({ addresses, hostLink }: Attachment): readonly RouteSpec[] {
  return addresses.map((address) => ({ destination: hostCidr(address), link: hostLink }));
}
