/**
 * Which families a Service is of, and which cluster address it has in each: `ipFamilies`, `ipFamilyPolicy`,
 * `clusterIPs`.
 *
 * As Kubernetes decides: what the user fixes (an address, a family) comes first, then the cluster's primary family; the
 * policy says whether a second family is wanted, and whether doing without it is a refusal. The primary family of a
 * Service never changes, the second one comes and goes with the policy.
 */

import type { Service, ServiceSpec } from "../../api/k8s/core.ts";
import type { Issue } from "../../api/validate/issue.ts";
import {
  type Cidr,
  cidrContains,
  familyOf,
  type IpFamily,
  isIp,
  renderCidr,
} from "../../base/ip.ts";

export interface FamilyPlan {
  readonly policy: NonNullable<ServiceSpec["ipFamilyPolicy"]>;
  /** The range and, where it is fixed by the user or has been given before, the address; the primary first. */
  readonly families: readonly {
    readonly family: IpFamily;
    readonly range: Cidr;
    readonly address?: string;
  }[];
}

export function familyPlan(
  service: Service,
  previous: Service | undefined,
  ranges: readonly Cidr[],
): FamilyPlan | { readonly issues: readonly Issue[] } {
  const { spec } = service;
  const held = previous === undefined ? [] : addressesOf(previous.spec);
  const asked = addressesOf(spec);
  const issues: Issue[] = [];
  const refuse = (path: string, message: string): void => {
    issues.push({ path, message, severity: "error" });
  };
  const wanted = familiesWanted(spec, held, asked, ranges);
  const policy = spec.ipFamilyPolicy ?? (wanted.length > 1 ? "RequireDualStack" : "SingleStack");
  const available = ranges.map(({ address }) => familyOf(address));
  const [primary] = wanted;
  if (primary !== undefined && !available.includes(primary)) {
    refuse("spec.ipFamilies[0]", `must be one of ${available.join(", ")}, got "${primary}"`);
  }
  const before = held[0] ?? (previous?.spec.clusterIP === "None" ? "None" : undefined);
  const now = asked[0] ?? (spec.clusterIP === "None" ? "None" : undefined);
  if (before !== undefined && now !== undefined && before !== now) {
    refuse("spec.clusterIP", `must stay "${before}", got "${now}"`);
  }
  if (policy === "RequireDualStack" && available.length < 2) {
    const only = ranges.map(renderCidr).join(", ");
    refuse(
      "spec.ipFamilyPolicy",
      `must be SingleStack or PreferDualStack where Services have only ${only}, got "RequireDualStack"`,
    );
  }
  const chosen = policy === "SingleStack" ? wanted.slice(0, 1) : bothOf(wanted, available);
  const families = chosen.flatMap((family) => {
    const range = ranges.find(({ address }) => familyOf(address) === family);
    if (range === undefined) return [];
    const address = [...held, ...asked].find((each) => familyOf(each) === family);
    if (address === undefined) return [{ family, range }];
    if (!held.includes(address) && !cidrContains(range, address)) {
      const path =
        asked.indexOf(address) > 0
          ? `spec.clusterIPs[${asked.indexOf(address)}]`
          : "spec.clusterIP";
      refuse(path, `must be in ${renderCidr(range)}, got "${address}"`);
    }
    return [{ family, range, address }];
  });
  return issues.length > 0 ? { issues } : { policy, families };
}

/** Cluster addresses that are given: neither `None` nor empty. */
function addressesOf({ clusterIP = "", clusterIPs = [] }: ServiceSpec): readonly string[] {
  return (clusterIPs.length > 0 ? clusterIPs : [clusterIP]).filter(isIp);
}

function familiesWanted(
  { ipFamilies = [] }: ServiceSpec,
  held: readonly string[],
  asked: readonly string[],
  ranges: readonly Cidr[],
): readonly IpFamily[] {
  const primary = ranges[0] === undefined ? [] : [familyOf(ranges[0].address)];
  const fixed = held.slice(0, 1).map(familyOf);
  const wished = [...asked.map(familyOf), ...ipFamilies];
  return [
    ...new Set([...fixed, ...(wished.length > 0 ? wished : fixed.length > 0 ? [] : primary)]),
  ];
}

function bothOf(wanted: readonly IpFamily[], available: readonly IpFamily[]): readonly IpFamily[] {
  return [...new Set([...wanted, ...available])].filter((family) => available.includes(family));
}
