/** Sidecars: the structure and rules of Istio's API. What cannot be done as asked is said by whoever compiles them. */

import type {
  SidecarEgress,
  SidecarIngress,
  SidecarPort,
  SidecarSpec,
} from "../../istio/sidecar.ts";
import { hostProblem, isDnsLabel, labelKey } from "../names.ts";
import { type Check, type Place, refine } from "../schema/check.ts";
import { list, mapOf, record } from "../schema/record.ts";
import { anything, integer, nonEmpty, oneOf, text } from "../schema/scalar.ts";

const importedHost: Check = text((value) => {
  const [namespace = "", host, ...rest] = value.split("/");
  if (host === undefined || rest.length > 0) return "must be namespace/host";
  const owner = namespace.replace(/^~/, "");
  const isKnown = ["*", "."].includes(namespace) || namespace === "~" || isDnsLabel(owner);
  if (!isKnown) return "must begin with a namespace, . (this one), * (all) or ~ (none)";
  if (host === "*") return undefined;
  return hostProblem(host.startsWith("*.") ? host.slice(2) : host);
});

const port: Check = record({
  number: integer(0, 65_535),
  name: text(),
  protocol: text(),
  targetPort: integer(0, 65_535),
});

const captureMode = oneOf("DEFAULT", "IPTABLES", "NONE");

const egress: Check = refine<SidecarEgress>(
  record({ port, bind: text(), captureMode, "hosts!": list(importedHost, 1) }),
  ({ port: written, bind = "" }, at) => {
    if (!isSocket(bind)) portRule(written, at.field("port"));
  },
);

const ingress: Check = refine<SidecarIngress>(
  record({
    "port!": port,
    bind: text((value) => (isSocket(value) ? "must not be a unix socket" : undefined)),
    captureMode,
    defaultEndpoint: text(endpointProblem),
    tls: anything,
    connectionPool: anything,
  }),
  ({ port: written, tls, connectionPool }, at) => {
    portRule(written, at.field("port"));
    tlsRules(tls, at.field("tls"));
    if (connectionPool?.http !== undefined && written.protocol?.toUpperCase() === "TCP") {
      at.field("connectionPool").field("http").warning("means nothing on a TCP port");
    }
  },
);

export const sidecarSpec: Check = refine<SidecarSpec>(
  record({
    workloadSelector: record({ labels: mapOf(text(), labelKey) }),
    egress: list(egress),
    ingress: list(ingress),
    outboundTrafficPolicy: record({
      mode: oneOf("REGISTRY_ONLY", "ALLOW_ANY"),
      egressProxy: record({ "host!": nonEmpty, port, subset: text() }),
    }),
    inboundConnectionPool: anything,
  }),
  (spec, at) => {
    const { workloadSelector: selector, outboundTrafficPolicy: policy } = spec;
    if (spec.egress === undefined && spec.ingress === undefined && policy === undefined) {
      if (spec.inboundConnectionPool === undefined) at.error("must say something");
    }
    if (selector !== undefined && Object.keys(selector.labels ?? {}).length === 0) {
      at.field("workloadSelector").warning("selects no labels: it means the whole namespace");
    }
    if (policy?.egressProxy !== undefined && policy.mode !== "ALLOW_ANY") {
      at.field("outboundTrafficPolicy").field("egressProxy").error("must go with mode ALLOW_ANY");
    }
    distinctPorts(spec.egress ?? [], at.field("egress"));
    distinctPorts(spec.ingress ?? [], at.field("ingress"));
  },
);

/** Of several entries for one port nobody could say which holds; one without a port stands for all others. */
function distinctPorts(
  entries: readonly { readonly port?: SidecarPort; readonly bind?: string }[],
  at: Place,
): void {
  const taken = new Set<string>();
  for (const [index, { port: written, bind = "" }] of entries.entries()) {
    const key = isSocket(bind) ? bind : `${written?.number ?? "any"}`;
    if (taken.has(key)) at.item(index).field("port").error(`must be unique, got ${key}`);
    taken.add(key);
  }
}

function portRule(written: SidecarPort | undefined, at: Place): void {
  if (written?.number === 0) at.field("number").error("must be 1..65535, got 0");
}

function isSocket(bind: string): boolean {
  return bind.startsWith("unix://");
}

function endpointProblem(value: string): string | undefined {
  if (value === "" || /^unix:\/\/\/.+/.test(value)) return undefined;
  const at = value.lastIndexOf(":");
  const number = Number(value.slice(at + 1));
  const isPort = Number.isInteger(number) && number > 0 && number <= 65_535;
  const isOwn = ["127.0.0.1", "0.0.0.0", "[::1]", "[::]"].includes(value.slice(0, at));
  return isPort && isOwn
    ? undefined
    : "must be a port of 127.0.0.1, 0.0.0.0, [::1] or [::], or unix:///path";
}

const foreignTls = ["httpsRedirect", "credentialName", "credentialNames"];

function tlsRules(tls: SidecarIngress["tls"], at: Place): void {
  for (const name of foreignTls) {
    if (tls?.[name] !== undefined) at.field(name).error("must not be set: it is a gateway's");
  }
  if (["AUTO_PASSTHROUGH", "ISTIO_MUTUAL"].includes(String(tls?.["mode"]))) {
    at.field("mode").error(`must be SIMPLE, MUTUAL or OPTIONAL_MUTUAL, got "${tls?.["mode"]}"`);
  }
}
