/**
 * What a node must know ⇄ resources of Heddle's own types, one for each object, so that a change costs what changed.
 *
 * Content is the view's own JSON. Its shape is checked no further than this: the only producer is the server of the
 * same release, and the agent's compilers are total over the types.
 */

import { MeshError } from "../../base/error.ts";
import type {
  IdentityPolicy,
  NodePeer,
  NodeView,
  ServiceView,
  WorkloadView,
} from "../../model/node-view.ts";
import { JsonResource } from "./gen/messages.ts";
import type { EncodedResource, XdsResources } from "./resources.ts";
import { decodeResource, encodeResource, groupByType, typeUrls } from "./resources.ts";

export type { NodeView };

const settingsName = "settings";

export function encodeNodeView(view: NodeView): XdsResources {
  const { node, settings } = view;
  return groupByType([
    encode(typeUrls.nodeSettings, settingsName, { node, settings }),
    ...view.nodes.map((peer) => encode(typeUrls.nodePeer, peer.name, peer)),
    ...view.workloads.map((workload) =>
      encode(typeUrls.nodeWorkload, qualified(workload), workload),
    ),
    ...view.services.map((service) => encode(typeUrls.nodeService, qualified(service), service)),
    ...view.policies.map((policy) => encode(typeUrls.nodePolicy, `${policy.identity}`, policy)),
  ]);
}

/** Throws MeshError naming the resource; `xds.incomplete` where the settings are not among the resources. */
export function decodeNodeView(resources: XdsResources): NodeView {
  const settings = resources.get(typeUrls.nodeSettings)?.get(settingsName);
  if (settings === undefined) {
    throw new MeshError("xds.incomplete", "decode node view: the settings are missing", {
      fault: "peer",
    });
  }
  return {
    ...decode<Pick<NodeView, "node" | "settings">>(settings),
    nodes: all<NodePeer>(resources, typeUrls.nodePeer, (peer) => peer.name),
    workloads: all<WorkloadView>(resources, typeUrls.nodeWorkload, qualified),
    services: all<ServiceView>(resources, typeUrls.nodeService, qualified),
    policies: all<IdentityPolicy>(resources, typeUrls.nodePolicy, (policy) => policy.identity),
  };
}

function qualified(object: { readonly namespace: string; readonly name: string }): string {
  return `${object.namespace}/${object.name}`;
}

/** Parts of a view are often the very objects of the view before, and of other nodes' views. */
const encoded = new WeakMap<object, EncodedResource>();

function encode(typeUrl: string, name: string, value: object): EncodedResource {
  const before = encoded.get(value);
  if (before !== undefined) return before;
  const resource = encodeResource(typeUrl, name, JsonResource, { json: JSON.stringify(value) });
  encoded.set(value, resource);
  return resource;
}

function all<T extends object>(
  resources: XdsResources,
  typeUrl: string,
  key: (value: T) => string | number,
): readonly T[] {
  return [...(resources.get(typeUrl)?.values() ?? [])]
    .map((resource) => decode<T>(resource))
    .sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** Resources are immutable, so what was read from one stays true; a large view changes one object at a time. */
const known = new WeakMap<EncodedResource, unknown>();

function decode<T>(resource: EncodedResource): T {
  const before = known.get(resource);
  if (before !== undefined) return before as T;
  const { json } = decodeResource(JsonResource, resource);
  try {
    const value = JSON.parse(json ?? "");
    known.set(resource, value);
    return value as T;
  } catch (cause) {
    throw new MeshError("xds.malformed", `decode node view: resource ${resource.name}`, {
      cause,
      fault: "peer",
    });
  }
}
