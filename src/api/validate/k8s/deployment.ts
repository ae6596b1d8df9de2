/** Deployments. The selector must select what the template makes, or the controller would never find its pods. */

import type { Deployment } from "../../k8s/core.ts";
import type { LabelSelector, LabelSelectorRequirement } from "../../resource.ts";
import { templateMetadata } from "../metadata.ts";
import { type Check, refine } from "../schema/check.ts";
import { record } from "../schema/record.ts";
import { anything, boolean, integer, oneOf } from "../schema/scalar.ts";
import { labelSelector } from "../selector.ts";
import { captureRules, podSpec, sidecarMode } from "./pod.ts";

export const deploymentSpec: Check = refine<Deployment["spec"]>(
  record({
    replicas: integer(0),
    "selector!": labelSelector,
    "template!": record({ metadata: templateMetadata, "spec!": podSpec }),
    strategy: record({ type: oneOf("RollingUpdate", "Recreate"), rollingUpdate: anything }),
    minReadySeconds: integer(0),
    paused: boolean,
    progressDeadlineSeconds: integer(0),
    revisionHistoryLimit: integer(0),
  }),
  ({ selector, template }, at) => {
    const { matchLabels = {}, matchExpressions = [] } = selector;
    if (Object.keys(matchLabels).length + matchExpressions.length === 0) {
      at.field("selector").error("must not be empty: it would select every pod");
    }
    const metadata = at.field("template").field("metadata");
    sidecarMode(template.metadata, metadata);
    captureRules(template.metadata, metadata);
    const labels = template.metadata?.labels ?? {};
    const where = at.field("template").field("metadata").field("labels");
    for (const wanted of unmet(selector, labels)) {
      where.error(`must be selected by spec.selector: ${wanted}`);
    }
    const { restartPolicy = "Always" } = template.spec ?? {};
    if (restartPolicy !== "Always") {
      const place = at.field("template").field("spec").field("restartPolicy");
      place.error(`must be Always in a Deployment, got "${restartPolicy}"`);
    }
  },
  ["selector", "template.metadata"],
);

/** What of the selector the labels do not meet. */
function unmet(selector: LabelSelector, labels: Readonly<Record<string, string>>): string[] {
  const got = (key: string) => (labels[key] === undefined ? "nothing" : `"${labels[key]}"`);
  const pairs = Object.entries(selector.matchLabels ?? {})
    .filter(([key, value]) => labels[key] !== value)
    .map(([key, value]) => `${key} must be "${value}", got ${got(key)}`);
  const expressions = (selector.matchExpressions ?? [])
    .filter((requirement) => !holds(requirement, labels[requirement.key]))
    .map(
      ({ key, operator, values = [] }) =>
        `${key} must be ${[operator, values.join(", ")].join(" ").trim()}, got ${got(key)}`,
    );
  return [...pairs, ...expressions];
}

function holds({ operator, values = [] }: LabelSelectorRequirement, value?: string): boolean {
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
  }
}
