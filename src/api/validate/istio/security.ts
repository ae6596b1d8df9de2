/** AuthorizationPolicies and PeerAuthentications. */

import { isRecord } from "../../../base/json.ts";
import type { PeerAuthentication } from "../../istio/security.ts";
import { addressOrCidr } from "../address.ts";
import { type Check, type Place, refine } from "../schema/check.ts";
import { list, mapOf, record } from "../schema/record.ts";
import { nonEmpty, oneOf, text } from "../schema/scalar.ts";
import { workloadSelector } from "../selector.ts";

type Given = Readonly<Record<string, unknown>>;

/** Fields that come in pairs: `hosts` and `notHosts`. */
function withNegations(fields: Readonly<Record<string, Check>>): Record<string, Check> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, check]) => [
      [name, list(check)],
      [`not${name.charAt(0).toUpperCase()}${name.slice(1)}`, list(check)],
    ]),
  );
}

const source: Check = refine<Given>(
  record(
    withNegations({
      principals: nonEmpty,
      requestPrincipals: nonEmpty,
      namespaces: nonEmpty,
      serviceAccounts: nonEmpty,
      trustDomains: nonEmpty,
      ipBlocks: addressOrCidr,
      remoteIpBlocks: addressOrCidr,
    }),
  ),
  (value, at) => {
    saysSomething(value, at);
    const accounts = ["serviceAccounts", "notServiceAccounts"].filter((key) => value[key]);
    const others = ["principals", "notPrincipals", "namespaces", "notNamespaces"];
    const clash = others.filter((key) => value[key]);
    if (accounts.length > 0 && clash.length > 0) {
      at.error(`must not have ${accounts[0]} together with ${clash.join(", ")}`);
    }
  },
);

/** A port as text, as the API has it. */
const portText = text((value) =>
  /^\d{1,5}$/.test(value) && Number(value) >= 1 && Number(value) <= 65535
    ? undefined
    : 'must be a port number as text, such as "8080"',
);

const operation: Check = refine<Given>(
  record(
    withNegations({
      hosts: nonEmpty,
      ports: portText,
      methods: nonEmpty,
      paths: nonEmpty,
    }),
  ),
  saysSomething,
);

const condition: Check = refine<Given>(
  record({
    "key!": conditionKey(),
    values: list(nonEmpty),
    notValues: list(nonEmpty),
  }),
  ({ key, values = [], notValues = [] }, at) => {
    if ([values, notValues].every((some) => (some as unknown[]).length === 0)) {
      at.error("must have values or notValues, got none");
    }
    const ofKey = conditionValues[key as string];
    if (ofKey === undefined) return;
    list(ofKey)(values, at.field("values"));
    list(ofKey)(notValues, at.field("notValues"));
  },
);

/** Keys whose values are more than text. */
const conditionValues: Readonly<Record<string, Check>> = {
  "source.ip": addressOrCidr,
  "remote.ip": addressOrCidr,
  "destination.ip": addressOrCidr,
  "destination.port": portText,
};

function conditionKey(): Check {
  const plain = [
    "source.ip",
    "remote.ip",
    "source.namespace",
    "source.principal",
    "source.serviceAccount",
    "source.trustDomain",
    "request.auth.principal",
    "request.auth.audiences",
    "request.auth.presenter",
    "destination.ip",
    "destination.port",
    "connection.sni",
  ];
  const open = /^(request\.headers|request\.auth\.claims)(\[[^\]]+\])+$|^experimental\..+/;
  return text((value) =>
    plain.includes(value) || open.test(value)
      ? undefined
      : `must be one of ${plain.join(", ")}, request.headers[…], request.auth.claims[…]`,
  );
}

const rule = record({
  from: list(record({ "source!": source }), 1),
  to: list(record({ "operation!": operation }), 1),
  when: list(condition),
});

const targetRef = record({
  group: text(),
  "kind!": nonEmpty,
  "name!": nonEmpty,
  namespace: text((value) => (value === "" ? undefined : "must be absent")),
});

/** What a policy may be attached to, by group and kind. */
const targets = [
  "/Service",
  "networking.istio.io/ServiceEntry",
  "gateway.networking.k8s.io/Gateway",
  "gateway.networking.k8s.io/GatewayClass",
];

export const authorizationPolicySpec: Check = refine<Given>(
  record({
    selector: workloadSelector,
    targetRef,
    targetRefs: list(targetRef),
    action: oneOf("ALLOW", "DENY", "AUDIT", "CUSTOM"),
    rules: list(rule),
    provider: record({ name: nonEmpty }),
  }),
  (value, at) => {
    const { action = "ALLOW", provider, selector, targetRef: one, targetRefs = [] } = value;
    const refs = [one, ...(targetRefs as unknown[])].filter(isRecord);
    if (selector && refs.length > 0) at.error("must have selector or targetRefs, got both");
    for (const { group = "", kind } of refs) {
      if (!targets.includes(`${group === "core" ? "" : group}/${kind}`)) {
        at.field("targetRefs").error(`must be one of ${targets.join(", ")}, got ${group}/${kind}`);
      }
    }
    const named = isRecord(provider) && provider["name"];
    if (action === "CUSTOM" && !named) at.field("provider").error("is required with action CUSTOM");
    if (action !== "CUSTOM" && provider) {
      at.field("provider").error(`must be absent with action ${action}`);
    }
  },
  ["action", "provider", "selector", "targetRef", "targetRefs"],
);

const mtls = record({ mode: oneOf("UNSET", "DISABLE", "PERMISSIVE", "STRICT") });

export const peerAuthenticationSpec: Check = refine<NonNullable<PeerAuthentication["spec"]>>(
  record({
    selector: workloadSelector,
    mtls,
    portLevelMtls: mapOf(mtls, portText),
  }),
  ({ selector, portLevelMtls }, at) => {
    const selects = Object.keys(selector?.matchLabels ?? {}).length > 0;
    if (portLevelMtls && !selects) at.field("portLevelMtls").error("must go with a selector");
    if (portLevelMtls && Object.keys(portLevelMtls).length === 0) {
      at.field("portLevelMtls").error("must have 1 or more ports, got 0");
    }
  },
);

/** A rule that names nothing matches everything, which is said by leaving it out. */
function saysSomething(value: Given, at: Place): void {
  const lists = Object.values(value).filter((one) => Array.isArray(one) && one.length > 0);
  if (lists.length === 0) at.error("must have at least one field");
}
