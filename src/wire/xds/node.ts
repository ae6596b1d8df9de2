/**
 * Who a client says it is, in its first request.
 *
 * A sidecar is `sidecar~ip~pod.namespace~domain` with Istio's metadata, a gateway `router~…`; an agent is `agent~node`.
 * What a client says selects its configuration only after the server has checked that the token it came with may say
 * so.
 */

import type { ProxyNode } from "../../model/proxy-config.ts";
import type { Node } from "./gen/message-types.ts";
import { decodeStruct, encodeStruct, textAt } from "./struct.ts";

export type { Node, ProxyNode };

/** Set in a node's metadata by clients that stage resources and switch when the snapshot mark arrives. */
const snapshotFlag = "HEDDLE_SNAPSHOTS";

export type Client =
  | { readonly kind: "sidecar"; readonly proxy: ProxyNode }
  | { readonly kind: "agent"; readonly node: string };

export interface Identified {
  readonly id: string;
  readonly snapshots: boolean;
  /** Undefined where the id has neither form. */
  readonly client?: Client;
}

export function encodeProxyNode(proxy: ProxyNode): Node {
  const { workload } = proxy;
  return {
    id: proxy.id,
    cluster: `${workload.app}.${proxy.namespace}`,
    userAgentName: "heddle",
    metadata: encodeStruct({
      [snapshotFlag]: true,
      NAMESPACE: proxy.namespace,
      NAME: proxy.pod,
      INSTANCE_IPS: proxy.address,
      WORKLOAD_NAME: workload.workload,
      SERVICE_ACCOUNT: workload.serviceAccount,
      LABELS: {
        "service.istio.io/canonical-name": workload.app,
        "service.istio.io/canonical-revision": workload.version,
      },
    }),
  };
}

export function encodeAgentNode(node: string): Node {
  return {
    id: `agent~${node}`,
    cluster: "heddle-agent",
    userAgentName: "heddle",
    metadata: encodeStruct({ [snapshotFlag]: true }),
  };
}

export function decodeNode(node: Node | undefined): Identified {
  const id = node?.id ?? "";
  const metadata = decodeStruct(node?.metadata);
  const flag = metadata[snapshotFlag];
  const snapshots = flag === true || flag === "true";
  const parts = id.split("~");
  if (parts[0] === "agent" && parts.length === 2 && parts[1] !== undefined && parts[1] !== "") {
    return { id, snapshots, client: { kind: "agent", node: parts[1] } };
  }
  const [kind, address = "", podAndNamespace = ""] = parts;
  const dot = podAndNamespace.lastIndexOf(".");
  if ((kind !== "sidecar" && kind !== "router") || parts.length !== 4 || dot <= 0)
    return { id, snapshots };
  const pod = podAndNamespace.slice(0, dot);
  const namespace = podAndNamespace.slice(dot + 1);
  const label = (name: string): string =>
    textAt(metadata, "LABELS", `service.istio.io/canonical-${name}`) ?? "";
  const workload = {
    namespace,
    workload: textAt(metadata, "WORKLOAD_NAME") ?? pod,
    app: label("name"),
    version: label("revision"),
    serviceAccount: textAt(metadata, "SERVICE_ACCOUNT") ?? "",
  };
  const proxy: ProxyNode = { id, namespace, pod, address, workload };
  return { id, snapshots, client: { kind: "sidecar", proxy } };
}
