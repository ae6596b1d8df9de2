/**
 * The same Services in kube-proxy's nftables shape, features and all: a chain for each Service and each endpoint, a set
 * for each endpoint that keeps clients, a chain for each address from outside.
 *
 * Written from what kube-proxy's mode is documented to make (KEP-3866); nothing of it is copied. It is the rival of the
 * load bench, so it has no more than ours has: masquerade, hairpin, affinity, both traffic policies.
 */

import { renderCidr } from "../src/base/ip.ts";
import type { EndpointView, NodeView, ServiceView } from "../src/model/node-view.ts";

export function kubeProxyShape(view: NodeView): string {
  const pods = view.settings.pools.map(({ cidr }) => renderCidr(cidr)).join(", ");
  const clusterIps: string[] = [];
  const serviceIps: string[] = [];
  const nodePorts: string[] = [];
  const parts: string[] = [];
  for (const service of view.services) {
    const { clusterIp = "", external = [] } = service;
    const [port] = service.ports;
    if (port === undefined) continue;
    const name = `${service.namespace}/${service.name}/tcp/${port.port}`;
    const chain = `service-${name}`;
    clusterIps.push(clusterIp);
    serviceIps.push(`${clusterIp} . tcp . ${port.port} : goto ${chain}`);
    parts.push(...endpointChains(service, port.endpoints, name), serviceChain(service, name, pods));
    if (external.length === 0 && port.nodePort === undefined) continue;
    for (const { address } of external) {
      serviceIps.push(`${address} . tcp . ${port.port} : goto external-${name}`);
    }
    if (port.nodePort !== undefined)
      nodePorts.push(`tcp . ${port.nodePort} : goto external-${name}`);
    parts.push(...externalChains(service, name, pods, view.node));
  }
  const address = view.nodes[0]?.address ?? "";
  return `table ip kube-proxy {
set cluster-ips { type ipv4_addr
elements = { ${clusterIps.join(",\n")} } }
set nodeport-ips { type ipv4_addr
elements = { ${address} } }
map service-ips { type ipv4_addr . inet_proto . inet_service : verdict
${elements(serviceIps)} }
map service-nodeports { type inet_proto . inet_service : verdict
${elements(nodePorts)} }
chain mark-for-masquerade { meta mark set mark or 0x4000
}
chain masquerading { mark and 0x4000 == 0 return
meta mark set mark xor 0x4000
masquerade fully-random
}
${parts.join("\n")}
chain services { ip daddr . meta l4proto . th dport vmap @service-ips
ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
}
chain nat-prerouting { type nat hook prerouting priority dstnat; jump services
}
chain nat-output { type nat hook output priority -100; jump services
}
chain nat-postrouting { type nat hook postrouting priority srcnat; jump masquerading
}
}
`;
}

function elements(list: readonly string[]): string {
  return list.length === 0 ? "" : `elements = { ${list.join(",\n")} }`;
}

function endpointName(name: string, { address, port }: EndpointView): string {
  return `${name}__${address}/${port}`;
}

function endpointChains(
  { affinitySeconds }: ServiceView,
  endpoints: readonly EndpointView[],
  name: string,
): readonly string[] {
  return endpoints.flatMap((endpoint) => {
    const own = endpointName(name, endpoint);
    const keeps = affinitySeconds !== undefined;
    return [
      ...(keeps
        ? [
            `set affinity-${own} { type ipv4_addr; flags dynamic,timeout; timeout ${affinitySeconds}s;\n}`,
          ]
        : []),
      `chain endpoint-${own} { ip saddr ${endpoint.address} jump mark-for-masquerade
${keeps ? `update @affinity-${own} { ip saddr }\n` : ""}meta l4proto tcp dnat to ${endpoint.address}:${endpoint.port}
}`,
    ];
  });
}

function serviceChain(service: ServiceView, name: string, pods: string): string {
  const { clusterIp, affinitySeconds, ports } = service;
  const endpoints = ports[0]?.endpoints ?? [];
  const kept =
    affinitySeconds === undefined
      ? []
      : endpoints.map((each) => {
          const own = endpointName(name, each);
          return `ip saddr @affinity-${own} goto endpoint-${own}`;
        });
  return `chain service-${name} { ip daddr ${clusterIp} tcp dport 80 ip saddr != ${pods} jump mark-for-masquerade
${[...kept, choice(endpoints, name)].join("\n")}
}`;
}

function externalChains(
  { externalLocal, ports }: ServiceView,
  name: string,
  pods: string,
  node: string,
): readonly string[] {
  if (externalLocal !== true) {
    return [`chain external-${name} { jump mark-for-masquerade\ngoto service-${name}\n}`];
  }
  const local = (ports[0]?.endpoints ?? []).filter((each) => each.node === node);
  return [
    `chain local-${name} { ${choice(local, name)}\n}`,
    `chain external-${name} { ip saddr ${pods} goto service-${name}
fib saddr type local jump mark-for-masquerade
fib saddr type local goto service-${name}
goto local-${name}
}`,
  ];
}

function choice(endpoints: readonly EndpointView[], name: string): string {
  const slots = endpoints.map(
    (each, slot) => `${slot} : goto endpoint-${endpointName(name, each)}`,
  );
  return `numgen random mod ${endpoints.length} vmap { ${slots.join(", ")} }`;
}
