/** A destination as the mesh sees it, whatever kind of object says that it is there. */

import type { Service } from "../../api/k8s/core.ts";
import type { Diagnostic } from "../../base/compiled.ts";
import type { Locality, WorkloadLabels } from "../../model/proxy-config.ts";
import type { Labels } from "../registry/selector.ts";
import type { PortProtocol } from "./protocol.ts";

export interface MeshService {
  readonly kind: "Service" | "ServiceEntry";
  readonly namespace: string;
  /** Of a host of a ServiceEntry: the host, as Istio's metrics have it. */
  readonly name: string;
  /** Its DNS name; a ServiceEntry's may be a wildcard. */
  readonly host: string;
  /**
   * What connections to it are recognised by: a Service's address; a ServiceEntry's addresses and prefixes. None for
   * headless Services, and until one is given.
   */
  readonly addresses: readonly string[];
  readonly isHeadless: boolean;
  /** A ServiceEntry's outside of the mesh: mesh TLS is never spoken to it. */
  readonly isOutside?: true;
  /** Names that certificates must carry one of, in the place of those of its endpoints' accounts. */
  readonly subjectAltNames?: readonly string[];
  readonly trafficDistribution?: NonNullable<Service["spec"]["trafficDistribution"]>;
  readonly exportTo?: readonly string[];
  readonly ports: readonly MeshPort[];
  /** What of it cannot be done. */
  readonly notes?: readonly Diagnostic[];
}

export interface MeshPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: PortProtocol;
  /** Connections begin with a ClientHello that names the host, where no address tells. */
  readonly isTls?: true;
  /** How endpoints are found; absent: by the addresses that they have here. */
  readonly resolution?: "original-destination" | "every-address" | "first-address";
  /** Those that traffic may go to, by address. */
  readonly endpoints: readonly MeshEndpoint[];
  /** `namespace/account` of the pods behind it, ready or not, sorted: whom a client may meet there. */
  readonly accounts: readonly string[];
}

export interface MeshEndpoint {
  /** With a resolution of names also a name. */
  readonly address: string;
  readonly port: number;
  readonly labels: Labels;
  /** Its sidecar takes mesh TLS on this port. */
  readonly takesMeshTls: boolean;
  /** The first label of its own DNS name, where it has one. */
  readonly hostname?: string;
  readonly node?: string;
  readonly workload?: WorkloadLabels;
  /** Of endpoints that are on no node. */
  readonly locality?: Locality;
  /** Its share beside the others'; absent means 1. */
  readonly weight?: number;
}
