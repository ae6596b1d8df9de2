/** Objects that a server takes, as small as they can be. */

import type { Pod, Service } from "../../api/k8s/core.ts";
import type { Resource } from "../../api/resource.ts";

export function configMap(name: string, data: Record<string, string> = {}, namespace = "default") {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace },
    data,
  } as Resource & {
    data: Record<string, string>;
  };
}

export function pod(name: string, nodeName: string): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default" },
    spec: { nodeName, containers: [{ name: "app", image: "app" }] },
  };
}

export function service(
  name: string,
  { port = 80, clusterIP }: { port?: number; clusterIP?: string } = {},
): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "default" },
    spec: {
      selector: { app: name },
      ports: [{ port }],
      ...(clusterIP !== undefined && { clusterIP }),
    },
  };
}
