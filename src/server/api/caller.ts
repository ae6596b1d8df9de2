/**
 * Who is calling, and what that one may do.
 *
 * Three sorts. The administrator, who comes over the unix socket that only the server's user can open or has the token
 * that is kept beside it, may do all. A viewer, which is a dashboard's session, may read all objects but Secrets. A
 * node, by its token, may read the same, and write what is its own to say: its Node, the address blocks it holds, its
 * claims of others', the status of the pods that run on it, and that such a pod is gone. A stolen token speaks for its
 * one node.
 *
 * A node also makes pods for containers of its own that no scheduler placed (Podman's, say), and with a pod comes a
 * service account's identity. So it may do that only in namespaces that are open to it: `default`, and those labelled
 * `heddle.dev/containers: allowed`; the label with any other value closes `default` as well.
 *
 * Not here: how a caller is known (server/authenticate.ts), who may use `/heddle/v1/…` (extensions.ts).
 */

import type { AddressBlock } from "../../api/heddle/v1.ts";
import type { Pod } from "../../api/k8s/core.ts";
import { type Resource, titleOf } from "../../api/resource.ts";
import { MeshError } from "../../base/error.ts";
import type { Part } from "./objects.ts";

export type Caller =
  | { readonly kind: "admin" }
  | { readonly kind: "viewer" }
  | { readonly kind: "node"; readonly node: string };

/** Throws `api.forbidden` where the caller may not read objects of the kind, and so not write them either. */
export function checkRead(caller: Caller, kind: string): void {
  if (caller.kind !== "admin" && kind === "Secret") throw forbidden(caller, "read Secrets");
}

/** Whether nodes may make pods for their containers in a namespace; undefined: there is no such object. */
export function isOpenToContainers(name: string, namespace: Resource | undefined): boolean {
  const label = namespace?.metadata.labels?.["heddle.dev/containers"];
  return label === "allowed" || (label === undefined && name === "default");
}

/**
 * Throws `api.forbidden` where the caller may not make `next` (undefined: nothing) out of `current`. `isOpen` says
 * whether the object's namespace is open to containers.
 */
export function checkWrite(
  caller: Caller,
  part: Part,
  current: Resource | undefined,
  next: Resource | undefined,
  isOpen = false,
): void {
  if (caller.kind === "admin") return;
  if (caller.kind === "viewer") throw forbidden(caller, "write");
  const { node } = caller;
  const object = next ?? current;
  if (object === undefined) return;
  const { kind, metadata } = object;
  const deletes = next === undefined;
  const allowed = (() => {
    switch (kind) {
      case "Node":
        return metadata.name === node && !deletes;
      case "AddressBlock":
        return mayWriteBlock(node, current as AddressBlock, next as AddressBlock); // The kind says so.
      case "Pod":
        if (current === undefined) return isOpen && isContainerPod(next, node);
        return (current as Partial<Pod>).spec?.nodeName === node && (deletes || part === "status");
      default:
        return false;
    }
  })();
  if (!allowed) {
    const verb = deletes ? "delete" : part === "status" ? "write the status of" : "write";
    throw forbidden(caller, `${verb} ${titleOf(object)}`);
  }
}

/**
 * Its own blocks, and of others' what it claims itself: it cannot take what somebody claims already, because claims may
 * not overlap, nor give away what it does not have.
 */
function mayWriteBlock(
  node: string,
  current: AddressBlock | undefined,
  next: AddressBlock | undefined,
): boolean {
  const othersClaims = (block: AddressBlock | undefined) =>
    (block?.spec?.claims ?? [])
      .filter((claim) => claim.node !== node)
      .map((claim) => `${claim.cidr} ${claim.node}`)
      .sort()
      .join();
  if (othersClaims(current) !== othersClaims(next)) return false;
  const owners = [current, next].flatMap((block) => block?.spec?.node ?? []);
  if (owners.every((owner) => owner === node)) return true;
  // Another's block stays another's, and what is all its node's has no claims to add to.
  const { spec: before } = current ?? {};
  const { spec: after } = next ?? {};
  return (
    before?.claims !== undefined &&
    after?.node === before.node &&
    after.released === before.released &&
    before.released !== true
  );
}

function isContainerPod(pod: Resource | undefined, node: string): boolean {
  const isContainers = pod?.metadata.annotations?.["heddle.dev/container-id"] !== undefined;
  return isContainers && (pod as Partial<Pod>).spec?.nodeName === node;
}

/** The refusal of something to somebody who may not do all. */
export function forbidden(caller: Exclude<Caller, { kind: "admin" }>, what: string): MeshError {
  const who = caller.kind === "viewer" ? "a dashboard's session" : `node ${caller.node}`;
  return new MeshError("api.forbidden", `${who} may not ${what}`, { fault: "user" });
}
