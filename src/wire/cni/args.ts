/**
 * CNI_ARGS: `K=V;K=V` from the runtime, in any order.
 *
 * Kubernetes runtimes name the pod here, Podman a fixed address as well. Keys that nobody knows are an error unless
 * `IgnoreUnknown` is true, as in the reference library.
 */

import { CniError, cniCodes } from "./error.ts";

export interface CniArgs {
  readonly podNamespace?: string;
  readonly podName?: string;
  readonly podUid?: string;
  /** One address, or several with commas between. Not checked. */
  readonly ip?: string;
  /** Not checked. */
  readonly mac?: string;
}

const known = ["IgnoreUnknown", "K8S_POD_NAMESPACE", "K8S_POD_NAME", "K8S_POD_UID", "IP", "MAC"];
const ignored = ["K8S_POD_INFRA_CONTAINER_ID"];

/** Throws CniError 4 for text that is no list of pairs, and for keys that nobody knows. */
export function parseArgs(text: string): CniArgs {
  const pairs = new Map<string, string>();
  for (const pair of text.split(";")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    if (equals < 1) {
      throw new CniError(cniCodes.badEnvironment, `parse CNI_ARGS: want KEY=VALUE, got "${pair}"`);
    }
    pairs.set(pair.slice(0, equals), pair.slice(equals + 1));
  }
  const tolerant = ["1", "true", "TRUE", "True", "t", "T"].includes(
    pairs.get("IgnoreUnknown") ?? "",
  );
  const unknown = [...pairs.keys()].filter((key) => ![...known, ...ignored].includes(key));
  if (unknown.length > 0 && !tolerant) {
    throw new CniError(cniCodes.badEnvironment, `unknown CNI_ARGS [${unknown.join(",")}]`);
  }
  return {
    ...optional("podNamespace", pairs.get("K8S_POD_NAMESPACE")),
    ...optional("podName", pairs.get("K8S_POD_NAME")),
    ...optional("podUid", pairs.get("K8S_POD_UID")),
    ...optional("ip", pairs.get("IP")),
    ...optional("mac", pairs.get("MAC")),
  };
}

function optional<K extends string>(key: K, value: string | undefined): { [key in K]?: string } {
  return value === undefined || value === "" ? {} : ({ [key]: value } as { [key in K]: string });
}
