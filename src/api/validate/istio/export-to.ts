/** `exportTo`: to which namespaces a rule shows itself. */

import { isDnsLabel } from "../names.ts";
import { type Check, refine } from "../schema/check.ts";
import { list } from "../schema/record.ts";
import { text } from "../schema/scalar.ts";

const entry = text((value) =>
  ["*", ".", "~"].includes(value) || isDnsLabel(value)
    ? undefined
    : "must be a namespace, . (this one), * (all) or ~ (none)",
);

export const exportTo: Check = refine<readonly string[]>(list(entry), (entries, at) => {
  for (const alone of ["*", "~"]) {
    if (entries.includes(alone) && entries.length > 1) at.error(`must have ${alone} alone`);
  }
  for (const [index, value] of entries.entries()) {
    if (entries.indexOf(value) !== index) at.item(index).error(`must be unique, got "${value}"`);
  }
});
