/**
 * What a node says of how others reach it: the prefixes of its link, to know who shares it, the link's MTU, and the key
 * that packets to it are encrypted for.
 *
 * All come as annotations of the Node object, because Kubernetes has no field for them. What cannot be read counts as
 * not said: then nobody is taken to share the link, Ethernet's size is assumed, and nothing is encrypted for the node.
 */

import type { Node } from "../../api/k8s/core.ts";
import { type Cidr, parseCidr } from "../../base/ip.ts";
import { mtuAnnotation, underlayAnnotation, wireguardKeyAnnotation } from "../../model/names.ts";

export interface UnderlayView {
  readonly networks?: readonly Cidr[];
  readonly mtu?: number;
  readonly wireguardKey?: string;
}

export function underlayOf(node: Node): UnderlayView {
  const annotations = node.metadata.annotations ?? {};
  const networks = (annotations[underlayAnnotation] ?? "").split(",").flatMap(prefixOf);
  const mtu = Number(annotations[mtuAnnotation]);
  const key = annotations[wireguardKeyAnnotation];
  return {
    ...(networks.length === 0 ? {} : { networks }),
    ...(Number.isInteger(mtu) && mtu >= 576 ? { mtu } : {}),
    ...(key !== undefined && isWireguardKey(key) ? { wireguardKey: key } : {}),
  };
}

function prefixOf(text: string): readonly Cidr[] {
  try {
    return text === "" ? [] : [parseCidr(text)];
  } catch {
    return [];
  }
}

/** 32 bytes in base64, whose last digit carries two bits of nothing. */
function isWireguardKey(text: string): boolean {
  return /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/.test(text);
}
