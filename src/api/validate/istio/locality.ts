/** `localityLbSetting`: the structure of Istio's API, and the rules of istiod's own validation. */

import type { LocalityLbSetting, LocalityShares } from "../../istio/networking.ts";
import { type Check, type Place, refine } from "../schema/check.ts";
import { list, mapOf, record } from "../schema/record.ts";
import { boolean, integer, nonEmpty, text } from "../schema/scalar.ts";

const maxParts = 3; // region, zone, sub-zone

const locality: Check = text((value) => {
  const parts = value.split("/");
  const wild = parts.indexOf("*");
  const isWellFormed = parts.length <= maxParts && !parts.includes("");
  if (isWellFormed && (wild < 0 || wild === parts.length - 1)) return undefined;
  return "must be region[/zone[/subzone]], of which the last may be *";
});

const region: Check = text((value) =>
  value === "" || /[*/]/.test(value) ? "must be a region, without * and /" : undefined,
);

const shares: Check = refine<LocalityShares>(
  mapOf(integer(1, 100), locality),
  (given, at: Place) => {
    const total = Object.values(given).reduce((sum, weight) => sum + weight, 0);
    if (total !== 100) at.error(`shares must sum to 100, got ${total}`);
  },
);

export const localityLbSetting: Check = refine<LocalityLbSetting>(
  record({
    enabled: boolean,
    distribute: list(record({ "from!": locality, "to!": shares })),
    failover: list(
      refine<{ readonly from?: string; readonly to?: string }>(
        record({ "from!": region, "to!": region }),
        ({ from, to }, at) => {
          if (from === to) at.field("to").error(`must be another region than from, got "${to}"`);
        },
      ),
    ),
    failoverPriority: list(nonEmpty),
  }),
  ({ distribute = [], failover = [], failoverPriority = [] }, at) => {
    if (distribute.length > 0 && failover.length + failoverPriority.length > 0) {
      at.error("must have distribute, or failover and failoverPriority, got both");
    }
    const topology = failoverPriority.find((label) => label.startsWith("topology."));
    if (failover.length > 0 && topology !== undefined) {
      at.field("failoverPriority").error(`must not name ${topology} where failover is given`);
    }
  },
  ["distribute", "failover", "failoverPriority"],
);
