/**
 * What is known of a service without looking at its traffic.
 *
 * Not here: how it is found out (in-force.ts).
 */

import type { OutlierDetection } from "../../model/proxy-config.ts";
import type { Balancing } from "../queueing/replicas.ts";

export interface Deployment {
  /** `namespace/name`. */
  readonly service: string;
  /** Ready endpoints. */
  readonly replicas: number;
  readonly balancing: Balancing;
  /** Sidecars that call it; each balances and detects outliers for itself. At least 1. */
  readonly clients: number;
  /** Tries after the first of a request that met a dead endpoint; 0: none, or not for such failures. */
  readonly retries: number;
  /** Absent: endpoints are not ejected. */
  readonly outliers?: OutlierDetection;
}
