/**
 * What a node must know ⇄ resources of Heddle's own types, one for each object, so that a change costs what changed.
 *
 * Content is the view's own JSON. Its shape is checked no further than this: the only producer is the server of the
 * same release, and the agent's compilers are total over the types.
 */

import { MeshError } from "../../base/error.ts";
import type {
  ExternalHostView,
  IdentityPolicy,
  NodePeer,
  NodeView,
  ServiceView,
  WorkloadView,
} from "../../model/node-view.ts";
import { JsonResource } from "./gen/messages.ts";
import type { EncodedResource, XdsResources } from "./resources.ts";
import { decodeResource, encodeResource, groupByType, typeUrls } from "./resources.ts";
import { SortedValues } from "./sorted-values.ts";

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
    ...(view.externalHosts ?? []).map((entry) =>
      encode(typeUrls.nodeExternalHost, qualified(entry), entry),
    ),
    ...view.policies.map((policy) => encode(typeUrls.nodePolicy, `${policy.identity}`, policy)),
  ]);
}

/**
 * Decodes one view after the other: what did not change from one to the next is the very same value, lists and all, so
 * what is made from a list can be kept. A change of one among 50 000 costs a comparison of each. The decoder throws
 * MeshError naming the resource; `xds.incomplete` where the settings are not among the resources.
 */
export function nodeViewDecoder(): (resources: XdsResources) => NodeView {
  const lists = {
    nodes: new SortedValues(decode<NodePeer>),
    workloads: new SortedValues(decode<WorkloadView>),
    services: new SortedValues(decode<ServiceView>),
    externalHosts: new SortedValues(decode<ExternalHostView>),
    policies: new SortedValues(decode<IdentityPolicy>, (a, b) => Number(a) - Number(b)),
  };
  let settings: EncodedResource | undefined;
  let head: Pick<NodeView, "node" | "settings"> | undefined;
  return (resources) => {
    const found = resources.get(typeUrls.nodeSettings)?.get(settingsName);
    if (found === undefined) {
      throw new MeshError("xds.incomplete", "decode node view: the settings are missing", {
        fault: "peer",
      });
    }
    if (head === undefined || found !== settings) {
      head = decode<Pick<NodeView, "node" | "settings">>(found);
      settings = found;
    }
    const externalHosts = lists.externalHosts.of(resources.get(typeUrls.nodeExternalHost));
    return {
      ...head,
      nodes: lists.nodes.of(resources.get(typeUrls.nodePeer)),
      workloads: lists.workloads.of(resources.get(typeUrls.nodeWorkload)),
      services: lists.services.of(resources.get(typeUrls.nodeService)),
      ...(externalHosts.length === 0 ? {} : { externalHosts }),
      policies: lists.policies.of(resources.get(typeUrls.nodePolicy)),
    };
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
