/** Objects on a terminal: a table for eyes, JSON or YAML for programs. */

import { stringify } from "yaml";
import type { Pod, Service } from "../api/k8s/core.ts";
import type { Resource } from "../api/resource.ts";

export type Format = "table" | "json" | "yaml";

/** One object, or a list of them as the Kubernetes API would say it. */
export function renderObjects(
  objects: readonly Resource[],
  isList: boolean,
  format: Format,
): string {
  const one = objects[0];
  const value =
    !isList && one !== undefined ? one : { apiVersion: "v1", kind: "List", items: objects };
  switch (format) {
    case "json":
      return JSON.stringify(value, undefined, 2);
    case "yaml":
      return stringify(value).trimEnd();
    default:
      return renderTable(objects);
  }
}

function renderTable(objects: readonly Resource[]): string {
  if (objects.length === 0) return "none";
  const rows = objects.map((object) => [
    object.metadata.namespace ?? "-",
    object.metadata.name,
    object.metadata.creationTimestamp ?? "-",
    ...details(object),
  ]);
  const table = [["NAMESPACE", "NAME", "CREATED", ...titles(objects[0]?.kind)], ...rows];
  const widths = (table[0] ?? []).map((_, i) =>
    Math.max(...table.map((row) => row[i]?.length ?? 0)),
  );
  return table
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function titles(kind: string | undefined): string[] {
  switch (kind) {
    case "Pod":
      return ["READY", "PHASE", "ADDRESS", "NODE"];
    case "Service":
      return ["ADDRESS", "PORTS"];
    default:
      return [];
  }
}

function details(object: Resource): string[] {
  switch (object.kind) {
    case "Pod": {
      const { status, spec } = object as Pod;
      const ready = status?.conditions?.find(({ type }) => type === "Ready")?.status;
      const phase = status?.phase ?? "Pending";
      return [ready === "True" ? "yes" : "no", phase, status?.podIP ?? "-", spec.nodeName ?? "-"];
    }
    case "Service": {
      const { spec } = object as Service;
      const ports = (spec.ports ?? []).map(({ port, protocol = "TCP" }) => `${port}/${protocol}`);
      return [spec.clusterIP ?? "-", ports.join(",") || "-"];
    }
    default:
      return [];
  }
}
