/**
 * Pods and pod templates. The fields that Heddle reads are looked at closely; the others are Kubernetes' business and
 * only need to be known, so that a misspelled one is noticed.
 */

import { captureAnnotations, portsIn, rangesIn } from "../../istio/capture-annotations.ts";
import {
  type Container,
  type PodSpec,
  sidecarModeAnnotation,
  sidecarModes,
} from "../../k8s/core.ts";
import type { Resource } from "../../resource.ts";
import { ipAddress } from "../address.ts";
import { dnsLabel, dnsSubdomain, labels, portName } from "../names.ts";
import { type Check, type Place, refine } from "../schema/check.ts";
import { list, record } from "../schema/record.ts";
import {
  anything,
  boolean,
  integer,
  nonEmpty,
  numberOr,
  oneOf,
  portNumber,
  text,
} from "../schema/scalar.ts";

const protocol = oneOf("TCP", "UDP", "SCTP");
const portNumberOrName = numberOr(portNumber, portName);

const probe: Check = refine<Readonly<Record<string, unknown>>>(
  record({
    exec: record({ command: list(text()) }),
    httpGet: record({
      path: text(),
      "port!": portNumberOrName,
      host: text(),
      scheme: oneOf("HTTP", "HTTPS"),
      httpHeaders: anything,
    }),
    tcpSocket: record({ "port!": portNumberOrName, host: text() }),
    grpc: record({ "port!": portNumber, service: text() }),
    initialDelaySeconds: integer(0),
    timeoutSeconds: integer(1),
    periodSeconds: integer(1),
    successThreshold: integer(1),
    failureThreshold: integer(1),
    terminationGracePeriodSeconds: integer(0),
  }),
  (value, at) => {
    const given = ["exec", "httpGet", "tcpSocket", "grpc"].filter((key) => value[key]);
    if (given.length !== 1) {
      const got = given.length === 0 ? "none" : given.join(", ");
      at.error(`must have exactly one of exec, httpGet, tcpSocket, grpc, got ${got}`);
    }
  },
);

const container: Check = record({
  "name!": dnsLabel,
  "image!": nonEmpty,
  command: list(text()),
  args: list(text()),
  workingDir: text(),
  env: list(record({ "name!": nonEmpty, value: text(), valueFrom: anything })),
  envFrom: anything,
  ports: list(
    record({
      name: portName,
      "containerPort!": portNumber,
      protocol,
      hostPort: integer(0, 65535),
      hostIP: ipAddress,
    }),
  ),
  readinessProbe: probe,
  livenessProbe: probe,
  startupProbe: probe,
  imagePullPolicy: oneOf("Always", "IfNotPresent", "Never"),
  lifecycle: anything,
  resizePolicy: anything,
  resources: anything,
  restartPolicy: anything,
  restartPolicyRules: anything,
  securityContext: anything,
  stdin: boolean,
  stdinOnce: boolean,
  terminationMessagePath: text(),
  terminationMessagePolicy: text(),
  tty: boolean,
  volumeDevices: anything,
  volumeMounts: anything,
});

const spec: Check = record({
  "containers!": list(container, 1),
  initContainers: list(container),
  nodeName: dnsSubdomain,
  nodeSelector: labels,
  serviceAccountName: dnsSubdomain,
  serviceAccount: dnsSubdomain,
  hostNetwork: boolean,
  hostname: dnsLabel,
  subdomain: dnsLabel,
  restartPolicy: oneOf("Always", "OnFailure", "Never"),
  terminationGracePeriodSeconds: integer(0),
  activeDeadlineSeconds: integer(1),
  affinity: anything,
  automountServiceAccountToken: boolean,
  dnsConfig: anything,
  dnsPolicy: oneOf("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
  enableServiceLinks: boolean,
  ephemeralContainers: anything,
  hostAliases: anything,
  hostIPC: boolean,
  hostPID: boolean,
  hostUsers: boolean,
  hostnameOverride: text(),
  imagePullSecrets: anything,
  os: anything,
  overhead: anything,
  preemptionPolicy: text(),
  priority: integer(),
  priorityClassName: text(),
  readinessGates: anything,
  resourceClaims: anything,
  resources: anything,
  runtimeClassName: text(),
  schedulerName: text(),
  schedulingGates: anything,
  securityContext: anything,
  setHostnameAsFQDN: boolean,
  shareProcessNamespace: boolean,
  tolerations: anything,
  topologySpreadConstraints: anything,
  volumes: anything,
});

export const podSpec: Check = refine<PodSpec & { readonly initContainers?: readonly Container[] }>(
  spec,
  ({ containers, initContainers = [] }, at) => {
    const names = new Set<string>();
    const unique = (ones: readonly Container[], where: Place) => {
      for (const [index, { name, ports = [] }] of ones.entries()) {
        if (names.has(name)) {
          where.item(index).field("name").error(`must be unique among containers, got "${name}"`);
        }
        names.add(name);
        uniquePortNames(ports, where.item(index).field("ports"));
      }
    };
    unique(containers, at.field("containers"));
    unique(initContainers, at.field("initContainers"));
  },
  ["containers", "initContainers"],
);

function uniquePortNames(ports: readonly { readonly name?: string }[], at: Place): void {
  const names = new Set<string>();
  for (const [index, { name }] of ports.entries()) {
    if (name === undefined) continue;
    if (names.has(name)) {
      at.item(index).field("name").error(`must be unique among ports, got "${name}"`);
    }
    names.add(name);
  }
}

/** What goes past a pod's sidecar. `at`: the metadata that has the annotations. */
export function captureRules(
  metadata: Pick<Resource["metadata"], "annotations"> | undefined,
  at: Place,
): void {
  for (const [name, { of, all }] of Object.entries(captureAnnotations)) {
    const written = metadata?.annotations?.[name];
    if (written === undefined || (all && written === "*")) continue;
    const isList = (of === "ports" ? portsIn : rangesIn)(written) !== undefined;
    if (isList) continue;
    const wanted = `${all ? "* or " : ""}a list of ${of === "ports" ? "ports such as 3306,6379" : "CIDRs such as 10.0.0.0/8,192.0.2.0/24"}`;
    const place = at.field("annotations").entry(name);
    place.error(`must be ${wanted}, got ${JSON.stringify(written)}`);
  }
}

/** Where a pod's sidecar is to run. `at`: the metadata that has the annotation. */
export function sidecarMode(
  metadata: Pick<Resource["metadata"], "annotations"> | undefined,
  at: Place,
): void {
  const mode = metadata?.annotations?.[sidecarModeAnnotation];
  if (mode === undefined || sidecarModes.some((each) => each === mode)) return;
  const place = at.field("annotations").entry(sidecarModeAnnotation);
  place.error(`must be one of ${sidecarModes.join(", ")}, got ${JSON.stringify(mode)}`);
}
