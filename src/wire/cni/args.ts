/**
 * CNI_ARGS: `K=V;K=V` from the runtime, in any order.
 *
 * Kubernetes runtimes name the pod here. Keys that nobody knows are an error unless `IgnoreUnknown` is true, as in the
 * reference library; keys that ask for something Heddle does not do (a fixed address) are refused by name.
 */

import { CniError, cniCodes } from "./error.ts";

export interface CniArgs {
  readonly podNamespace?: string;
  readonly podName?: string;
  readonly podUid?: string;
}

const known = ["IgnoreUnknown", "K8S_POD_NAMESPACE", "K8S_POD_NAME", "K8S_POD_UID"];
const ignored = ["K8S_POD_INFRA_CONTAINER_ID"];
const unsupported = ["IP", "MAC"];

/** Throws CniError 4 for text that is no list of pairs, 2 for a key that asks for what Heddle does not do. */
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
  for (const key of unsupported) {
    const value = pairs.get(key);
    if (value !== undefined && value !== "") {
      throw new CniError(cniCodes.unsupportedField, `unsupported CNI_ARGS ${key}=${value}`);
    }
  }
  const tolerant = ["1", "true", "TRUE", "True", "t", "T"].includes(
    pairs.get("IgnoreUnknown") ?? "",
  );
  const unknown = [...pairs.keys()].filter(
    (key) => ![...known, ...ignored, ...unsupported].includes(key),
  );
  if (unknown.length > 0 && !tolerant) {
    throw new CniError(cniCodes.badEnvironment, `unknown CNI_ARGS [${unknown.join(",")}]`);
  }
  return {
    ...optional("podNamespace", pairs.get("K8S_POD_NAMESPACE")),
    ...optional("podName", pairs.get("K8S_POD_NAME")),
    ...optional("podUid", pairs.get("K8S_POD_UID")),
  };
}

function optional<K extends string>(key: K, value: string | undefined): { [key in K]?: string } {
  return value === undefined || value === "" ? {} : ({ [key]: value } as { [key in K]: string });
}
