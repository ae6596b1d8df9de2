/** WorkloadEntries, and the endpoints that a ServiceEntry has written into it. */

import { isIp } from "../../../base/ip.ts";
import type { WorkloadEntrySpec } from "../../istio/service-entry.ts";
import { hostProblem, labels } from "../names.ts";
import { type Check, refine } from "../schema/check.ts";
import { mapOf, record } from "../schema/record.ts";
import { integer, portNumber, text } from "../schema/scalar.ts";

const address: Check = text((value) => {
  if (value.startsWith("unix://")) return socketProblem(value.slice("unix://".length));
  return isIp(value) || hostProblem(value) === undefined
    ? undefined
    : "must be an IP address, a DNS name, or unix:// and an absolute path";
});

function socketProblem(path: string): string | undefined {
  if (path.startsWith("@")) return undefined;
  if (!path.startsWith("/")) return "must be unix:// and an absolute path, or @ and a name";
  return path.endsWith("/") ? "must be a socket, not a folder" : undefined;
}

const portKey: Check = text((value) =>
  /^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/.test(value) && value.length <= 63
    ? undefined
    : "must be a port's name: letters, digits and -, at most 63",
);

export const workloadEntrySpec: Check = refine<WorkloadEntrySpec>(
  record({
    address,
    ports: mapOf(portNumber, portKey),
    labels,
    network: text(),
    locality: text(),
    weight: integer(0),
    serviceAccount: text(),
  }),
  ({ address: written, network, ports = {} }, at) => {
    if (written === undefined && network === undefined) at.field("address").error("is required");
    const count = Object.keys(ports).length;
    if (written?.startsWith("unix://") === true && count > 0) {
      at.field("ports").error(`must be absent with a unix socket, got ${count} ports`);
    }
  },
);
