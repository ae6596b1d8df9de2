/**
 * The environment of a container, as the kubelet would make it: the manifest's variables, fields of the pod, and
 * `$(NAME)` references to variables before them. Of the machine's own environment only PATH is handed on.
 */

import type { Container, Pod } from "../../api/k8s/core.ts";
import { isRecord } from "../../base/json.ts";

export function containerEnv(
  pod: Pod,
  container: Container,
  image: Readonly<Record<string, string>>,
  given: { readonly address: string },
): Record<string, string> {
  const env: Record<string, string> = {
    PATH: process.env["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: "/root",
    HOSTNAME: pod.spec.hostname ?? pod.metadata.name,
    ...image,
  };
  for (const variable of container.env ?? []) {
    const value = variable.value ?? fieldOf(pod, given.address, variable) ?? "";
    env[variable.name] = expand(value, env);
  }
  return env;
}

/** `$(NAME)` becomes the variable's value, `$$(NAME)` stays as `$(NAME)`, unknown names stay as written. */
function expand(value: string, env: Readonly<Record<string, string>>): string {
  return value.replace(/\$(\$?)\(([A-Za-z_][\w.-]*)\)/g, (text, escaped: string, name: string) =>
    escaped === "$" ? `$(${name})` : (env[name] ?? text),
  );
}

/** `valueFrom.fieldRef.fieldPath`, for the fields that samples use. */
function fieldOf(pod: Pod, address: string, variable: object): string | undefined {
  const from = "valueFrom" in variable ? variable.valueFrom : undefined;
  const reference = isRecord(from) ? from["fieldRef"] : undefined;
  const path = isRecord(reference) ? reference["fieldPath"] : undefined;
  switch (path) {
    case "metadata.name":
      return pod.metadata.name;
    case "metadata.namespace":
      return pod.metadata.namespace;
    case "metadata.uid":
      return pod.metadata.uid;
    case "spec.nodeName":
      return pod.spec.nodeName;
    case "spec.serviceAccountName":
      return pod.spec.serviceAccountName ?? "default";
    case "status.podIP":
      return address;
    default: {
      const label = typeof path === "string" ? /^metadata\.labels\['(.+)'\]$/.exec(path)?.[1] : "";
      return label === undefined ? undefined : pod.metadata.labels?.[label];
    }
  }
}
