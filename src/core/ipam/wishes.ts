/**
 * What a pod asks for by annotation: addresses by name, or pools.
 *
 * Calico's annotations mean here what they mean there, so that published manifests keep their addresses; Heddle's own
 * are plain lists. Whoever asks for an address that is none is refused one when it is attached, not given another.
 */

import type { Pod } from "../../api/k8s/core.ts";
import { isRecord } from "../../base/json.ts";

export interface AddressWishes {
  readonly addresses: readonly string[];
  /** Names; undefined: whichever admit the pod. */
  readonly pools: readonly string[] | undefined;
}

export function wishesOf(pod: Pod): AddressWishes {
  const annotations = pod.metadata.annotations ?? {};
  const plain = (name: string) => commaList(annotations[`heddle.dev/${name}`]);
  const calico = (name: string) => jsonList(annotations[`cni.projectcalico.org/${name}`]);
  const pools = [...plain("address-pools"), ...calico("ipv4pools"), ...calico("ipv6pools")];
  return {
    addresses: [...plain("addresses"), ...calico("ipAddrs")],
    pools: pools.length === 0 ? undefined : pools,
  };
}

function commaList(text: string | undefined): readonly string[] {
  return (text ?? "").split(",").flatMap((part) => part.trim() || []);
}

/** `["10.0.0.1"]`; what is no such list counts as one item, to be refused by name. */
function jsonList(text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value) && !value.some(isRecord)) return value.map(String);
  } catch {
    // told below
  }
  return [text];
}
