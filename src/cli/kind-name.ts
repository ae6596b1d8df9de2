/** Kinds as people write them: `Pod`, `pods`, `po`, `virtualservice`. */

import { type Kind, kinds } from "../api/kinds.ts";
import { MeshError } from "../base/error.ts";

const short: Readonly<Record<string, string>> = {
  cm: "ConfigMap",
  deploy: "Deployment",
  dr: "DestinationRule",
  gw: "Gateway",
  netpol: "NetworkPolicy",
  no: "Node",
  ns: "Namespace",
  pa: "PeerAuthentication",
  po: "Pod",
  sa: "ServiceAccount",
  svc: "Service",
  vs: "VirtualService",
};

/** Throws `cli.kind.unknown` with the kinds that there are. */
export function kindCalled(word: string): Kind {
  const lower = word.toLowerCase();
  const name = (short[lower] ?? lower).toLowerCase();
  const found = kinds.find(
    ({ kind, resource }) => kind.toLowerCase() === name || resource === name,
  );
  if (found !== undefined) return found;
  const known = kinds.map(({ resource }) => resource).sort();
  throw new MeshError(
    "cli.kind.unknown",
    `unknown kind "${word}": want one of ${known.join(", ")}`,
    {
      fault: "user",
    },
  );
}
