/** Who is at the other end of a captured connection, and where it wanted to go. One object per connection. */

import type { WorkloadLabels } from "../model/proxy-config.ts";

export interface Peer {
  readonly sourceAddress: string;
  readonly sourcePort: number;
  readonly destinationAddress: string;
  readonly destinationPort: number;
  /** SPIFFE id without its scheme, from a verified certificate. */
  readonly principal: string | undefined;
  /** What applications are told of its verified certificate (`x-forwarded-client-cert`). */
  readonly forwardedCertificate: string | undefined;
  /** It is a sidecar that speaks HTTP here: what it carries for applications has gone through its routes. */
  readonly isHttpSidecar: boolean;
  /** What the peer's sidecar says of its workload, believed only beside a verified certificate. */
  labels: WorkloadLabels | undefined;
  /** Metric series already bound for this peer, by the one who binds them. */
  readonly series: Map<object, unknown>;
}

/** Of what the sidecar itself asks: nobody's. */
export const ownPeer: Peer = {
  sourceAddress: "",
  sourcePort: 0,
  destinationAddress: "",
  destinationPort: 0,
  principal: undefined,
  forwardedCertificate: undefined,
  isHttpSidecar: false,
  labels: undefined,
  series: new Map(),
};
