/** DestinationRules. */

import type { DestinationRule } from "../../istio/networking.ts";
import { isDnsLabel, labels, wildcardHost } from "../names.ts";
import { type Check, refine } from "../schema/check.ts";
import { list, record } from "../schema/record.ts";
import { text } from "../schema/scalar.ts";
import { workloadSelector } from "../selector.ts";
import { exportTo } from "./export-to.ts";
import { trafficPolicy } from "./traffic-policy.ts";

const subsetName = text((value) =>
  isDnsLabel(value) ? undefined : "must be a DNS label (letters a-z, digits and -, at most 63)",
);

export const destinationRuleSpec: Check = refine<DestinationRule["spec"]>(
  record({
    "host!": wildcardHost,
    trafficPolicy,
    subsets: list(record({ "name!": subsetName, labels, trafficPolicy })),
    exportTo,
    workloadSelector,
  }),
  ({ subsets = [] }, at) => {
    const names = subsets.map(({ name }) => name);
    for (const [index, name] of names.entries()) {
      if (names.indexOf(name) !== index) {
        at.field("subsets").item(index).field("name").error(`must be unique, got "${name}"`);
      }
    }
  },
  ["subsets"],
);
