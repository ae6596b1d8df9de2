/**
 * What a node says of the link that it reaches other nodes on: prefixes, to know who shares the link, and MTU.
 *
 * Both come as annotations of the Node object, because Kubernetes has no field for them. What cannot be read counts as
 * not said: then nobody is taken to share the link, and Ethernet's size is assumed.
 */

import type { Node } from "../../api/k8s/core.ts";
import { type Cidr, parseCidr } from "../../base/ip.ts";
import { mtuAnnotation, underlayAnnotation } from "../../model/names.ts";

export interface UnderlayView {
  readonly networks?: readonly Cidr[];
  readonly mtu?: number;
}

export function underlayOf(node: Node): UnderlayView {
  const annotations = node.metadata.annotations ?? {};
  const networks = (annotations[underlayAnnotation] ?? "").split(",").flatMap(prefixOf);
  const mtu = Number(annotations[mtuAnnotation]);
  return {
    ...(networks.length === 0 ? {} : { networks }),
    ...(Number.isInteger(mtu) && mtu >= 576 ? { mtu } : {}),
  };
}

function prefixOf(text: string): readonly Cidr[] {
  try {
    return text === "" ? [] : [parseCidr(text)];
  } catch {
    return [];
  }
}
