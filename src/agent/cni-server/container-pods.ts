/**
 * Pods for containers whose runtime knows none: Podman's, containerd's outside Kubernetes, cnitool's.
 *
 * Each gets a Pod object with the container's name and labels, so that selectors, Services and identity mean it as they
 * mean any pod. Two labels say what a Pod has and a container has not: `heddle.dev/namespace` and
 * `heddle.dev/service-account`. Labels that Kubernetes would refuse are left out. The name is the container's where it
 * is free; other nodes' containers may have it, and then a few digits of the id are added.
 *
 * The object is made before the attachment and deleted after it. What a killed agent could not delete its successor
 * does (`sweep`), and what the server would not hear now is said again (`retry`).
 */

import { type Pod, sidecarModeAnnotation } from "../../api/k8s/core.ts";
import { labelKey, labelValue } from "../../api/validate/names.ts";
import { issuesOf } from "../../api/validate/schema/check.ts";
import { MeshError, renderError } from "../../base/error.ts";
import { hashHex } from "../../base/hash.ts";
import type { Log } from "../../base/log.ts";
import { aliasesAnnotation } from "../../model/names.ts";
import type { ObjectClient } from "../../rpc/object-client.ts";
import { containerFacts, type RuntimeRoots } from "../runtimes/containers.ts";

const idAnnotation = "heddle.dev/container-id";
const namespaceLabel = "heddle.dev/namespace";
const accountLabel = "heddle.dev/service-account";

export interface ContainerPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string | undefined;
  /** False where the container had it already, by another interface. */
  readonly isNew: boolean;
}

/** What the runtime says of a container in its call. */
export interface ContainerCall {
  readonly containerId: string;
  readonly name?: string;
  readonly namespace?: string;
  readonly aliases: readonly string[];
}

export class ContainerPods {
  readonly #node: string;
  readonly #objects: ObjectClient;
  readonly #roots: RuntimeRoots;
  readonly #log: Log;
  /** Containers that this agent made a pod for before the sweep: their objects are nobody's leftovers. */
  #made: Set<string> | undefined = new Set();
  /** Deletions under way, by the pod's key; none rejects. */
  readonly #deleting = new Map<string, Promise<void>>();
  /** Pods whose deletion has failed so far, by their key. */
  readonly #doomed = new Map<string, { readonly namespace: string; readonly name: string }>();

  constructor(node: string, objects: ObjectClient, roots: RuntimeRoots, log: Log) {
    this.#node = node;
    this.#objects = objects;
    this.#roots = roots;
    this.#log = log;
  }

  async make(call: ContainerCall): Promise<ContainerPod> {
    this.#made?.add(call.containerId);
    const pod = this.#podOf(call);
    const { name } = pod.metadata;
    const digits = `-${hashHex(`pod/${call.containerId}`, 8)}`;
    return (
      (await this.#create(pod, name)) ??
      (await this.#create(pod, name.slice(0, 63 - digits.length) + digits)) ??
      (await Promise.reject(
        new MeshError(
          "agent.pod.name",
          `name container ${call.containerId}: ${name} and ${name}${digits} are others'`,
          {
            fault: "user",
          },
        ),
      ))
    );
  }

  /** The container runs: Services may send to it. */
  showRunning({ namespace, name }: Pick<ContainerPod, "namespace" | "name">, now: number): void {
    const condition = (type: string) => ({
      type,
      status: "True",
      lastTransitionTime: new Date(now).toISOString(),
    });
    const status = { phase: "Running", conditions: ["ContainersReady", "Ready"].map(condition) };
    this.#objects.patchStatus("Pod", namespace, name, status).catch((error: unknown) => {
      this.#log.warn("pod of a container is not shown as running", {
        pod: `${namespace}/${name}`,
        error: renderError(error),
      });
    });
  }

  /** Deletes an object that `make` made, now or when the server can be reached. */
  unmake(namespace: string, name: string): void {
    const key = `${namespace}/${name}`;
    const deleting = this.#objects
      .delete("Pod", namespace, name)
      .then(
        () => void this.#doomed.delete(key),
        (error: unknown) => {
          this.#doomed.set(key, { namespace, name });
          const details = { pod: key, error: renderError(error) };
          this.#log.warn("pod of a container is not deleted yet", details);
        },
      )
      .finally(() => {
        if (this.#deleting.get(key) === deleting) this.#deleting.delete(key);
      });
    this.#deleting.set(key, deleting);
  }

  /** Deletes what could not be deleted before. */
  retry(): void {
    for (const [key, { namespace, name }] of this.#doomed) {
      if (!this.#deleting.has(key)) this.unmake(namespace, name);
    }
  }

  /**
   * Deletes what earlier agents of this node made for containers that are no longer attached; once in an agent's life.
   */
  async sweep(attached: () => ReadonlySet<string>): Promise<void> {
    const made = this.#made;
    if (made === undefined) return;
    const { objects } = await this.#objects.list<Pod>("Pod");
    const there = attached();
    for (const { metadata, spec } of objects) {
      const id = metadata.annotations?.[idAnnotation];
      if (id === undefined || spec.nodeName !== this.#node) continue;
      if (there.has(id) || made.has(id)) continue;
      this.unmake(metadata.namespace ?? "default", metadata.name);
    }
    this.#made = undefined; // what is made from now on was not there to be listed
  }

  /** Undefined where the name is another container's. */
  async #create(pod: Pod, name: string): Promise<ContainerPod | undefined> {
    const { namespace = "default", annotations } = pod.metadata;
    const key = `${namespace}/${name}`;
    await this.#deleting.get(key); // else it may be found, and then go
    try {
      const created = await this.#objects.create({ ...pod, metadata: { ...pod.metadata, name } });
      this.#doomed.delete(key);
      return { namespace, name, uid: created.metadata.uid, isNew: true };
    } catch (error) {
      if (!(error instanceof MeshError) || error.code !== "api.exists") throw error;
    }
    const there = await this.#objects.get<Pod>("Pod", namespace, name);
    const isOurs =
      there?.metadata.annotations?.[idAnnotation] === annotations?.[idAnnotation] &&
      there?.spec.nodeName === this.#node;
    if (!isOurs) return undefined;
    this.#doomed.delete(key); // a container that is started again keeps its id
    return { namespace, name, uid: there.metadata.uid, isNew: false };
  }

  #podOf({ containerId, name, namespace, aliases }: ContainerCall): Pod {
    const facts = containerFacts(containerId, this.#roots);
    const {
      [namespaceLabel]: home,
      [accountLabel]: account,
      [sidecarModeAnnotation]: mode,
      ...labels
    } = facts?.labels ?? {};
    return {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: dnsLabelOf(name ?? facts?.name ?? `container-${containerId.slice(0, 12)}`),
        namespace: namespace ?? home ?? "default",
        labels: this.#acceptable(labels, containerId),
        annotations: {
          [idAnnotation]: containerId,
          ...(aliases.length === 0 ? {} : { [aliasesAnnotation]: aliases.join(",") }),
          ...(mode === undefined ? {} : { [sidecarModeAnnotation]: mode }),
        },
      },
      // The runtime runs the container; the object only says that it is there, and has nothing to end in good order.
      spec: {
        nodeName: this.#node,
        terminationGracePeriodSeconds: 0,
        containers: [{ name: "container", image: "unknown" }],
        ...(account === undefined ? {} : { serviceAccountName: account }),
      },
    };
  }

  /** Container labels may be any text; Kubernetes' may not. */
  #acceptable(
    labels: Readonly<Record<string, string>>,
    container: string,
  ): Readonly<Record<string, string>> {
    const isFine = ([key, value]: readonly [string, string]): boolean =>
      issuesOf(labelKey, key).length + issuesOf(labelValue, value).length === 0;
    const refused = Object.entries(labels).filter((pair) => !isFine(pair));
    if (refused.length > 0) {
      const keys = refused.map(([key]) => key);
      this.#log.info("container labels are no pod labels, left out", { container, keys });
    }
    return Object.fromEntries(Object.entries(labels).filter(isFine));
  }
}

/** A DNS label: what the API accepts as a pod's name. */
function dnsLabelOf(text: string): string {
  const label = text
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .slice(0, 63)
    .replace(/^-+|-+$/g, "");
  return label === "" ? "container" : label;
}
