/**
 * Who may have which configuration.
 *
 * A token speaks for one node. It may ask for that node's view, and on behalf of the pods that are bound to it: the
 * agent names the pod in the call's metadata, which the pod's sidecar cannot reach. What a client says of itself in
 * its first request must agree with that, and selects nothing that the token may not have.
 */

import type { Pod } from "../../api/k8s/core.ts";
import { MeshError } from "../../base/error.ts";
import { serviceAccountOf } from "../../core/registry/workloads.ts";
import { objectNamed } from "../../core/registry/world.ts";
import { spiffeId, trustDomain } from "../../model/names.ts";
import type { CallMetadata } from "../../rpc/grpc-server.ts";
import { callMetadata } from "../../rpc/methods.ts";
import type { Node } from "../../wire/xds/node.ts";
import { type Client, decodeNode } from "../../wire/xds/node.ts";
import type { WorldSource } from "../world-source.ts";

export interface Authority {
  /** Whom a bearer token speaks for. */
  readonly authenticate: (token: string) => { readonly node: string } | undefined;
  /** Says which pods there are, and on which nodes. */
  readonly world: Pick<WorldSource, "current">;
}

/** Throws MeshError `xds.unauthenticated`, `xds.forbidden` or `xds.invalid`. */
export function authorizeClient(
  node: Node | undefined,
  metadata: CallMetadata,
  authority: Authority,
): { readonly client: Client; readonly node: string } {
  const caller = callerOf(metadata, authority);
  const { id, client } = decodeNode(node);
  if (client === undefined) {
    throw new MeshError(
      "xds.invalid",
      `node id "${id}": want agent~<node> or sidecar~<ip>~<pod>.<namespace>~<domain>`,
      { fault: "peer" },
    );
  }
  if (client.kind === "agent") {
    if (client.node === caller) return { client, node: caller };
    throw forbidden(`view of node ${client.node}: the token is node ${caller}'s`);
  }
  const { namespace, name } = podOf(metadata, caller, authority);
  const claimed = `${client.proxy.namespace}/${client.proxy.pod}`;
  if (`${namespace}/${name}` === claimed) return { client, node: caller };
  throw forbidden(`configuration of pod ${claimed}: the call is pod ${namespace}/${name}'s`);
}

/** The identity to certify: that of the pod which the call is for. Throws as above. */
export function authorizeCertificate(metadata: CallMetadata, authority: Authority): string {
  const { namespace, pod } = podOf(metadata, callerOf(metadata, authority), authority);
  return spiffeId(trustDomain, namespace, serviceAccountOf(pod));
}

function callerOf(metadata: CallMetadata, authority: Authority): string {
  const token = /^Bearer (\S+)$/.exec(metadata(callMetadata.authorization) ?? "")?.[1];
  const caller = token === undefined ? undefined : authority.authenticate(token);
  if (caller !== undefined) return caller.node;
  const why = token === undefined ? "want a bearer token" : "the token is unknown or was replaced";
  throw new MeshError("xds.unauthenticated", why, { fault: "peer" });
}

function podOf(
  metadata: CallMetadata,
  caller: string,
  authority: Authority,
): { readonly namespace: string; readonly name: string; readonly pod: Pod } {
  const [namespace = "", name = ""] = (metadata(callMetadata.pod) ?? "").split("/");
  const uid = metadata(callMetadata.podUid) ?? "";
  if (namespace === "" || name === "" || uid === "") {
    throw new MeshError(
      "xds.invalid",
      `want metadata ${callMetadata.pod}: <namespace>/<name> and ${callMetadata.podUid}`,
      { fault: "peer" },
    );
  }
  const pod = objectNamed<Pod>(authority.world.current(), "Pod", namespace, name);
  if (pod === undefined || pod.metadata.uid !== uid) {
    throw forbidden(`pod ${namespace}/${name} (${uid}) does not exist`);
  }
  const { nodeName } = pod.spec;
  if (nodeName === caller) return { namespace, name, pod };
  const where = nodeName === undefined ? "bound to no node" : `on node ${nodeName}`;
  throw forbidden(`pod ${namespace}/${name} is ${where}, the token is node ${caller}'s`);
}

function forbidden(message: string): MeshError {
  return new MeshError("xds.forbidden", message, { fault: "peer" });
}
