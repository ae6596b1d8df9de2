/** How endpoints are found to be unwell: asked now and then, or watched while they answer. */

/** One check of each endpoint every interval; the first decides at once. */
export interface HealthCheck {
  readonly probe: HealthProbe;
  readonly timeoutMs: number;
  readonly intervalMs: number;
  /** While nobody uses the cluster; undefined: 60 s. */
  readonly noTrafficIntervalMs?: number;
  /** While the endpoint is unwell; undefined: as always. */
  readonly unhealthyIntervalMs?: number;
  /** The first check waits up to so long, the others so much longer than their interval. */
  readonly initialJitterMs?: number;
  readonly jitterMs?: number;
  readonly jitterPercent?: number;
  /** So many failures in a row make an endpoint unwell, so many successes well. */
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
}

export type HealthProbe =
  | {
      readonly kind: "http";
      readonly path: string;
      /** Undefined: the Service's. */
      readonly host?: string;
      readonly method: "GET" | "HEAD" | "OPTIONS";
      readonly headers: readonly (readonly [name: string, value: string])[];
      /** Empty: 200. */
      readonly expected: readonly StatusRange[];
      /** Failures that count one by one; any other unexpected status makes the endpoint unwell at once. */
      readonly retriable: readonly StatusRange[];
    }
  /** Bytes in hexadecimal. What comes back must have all of `receive` in it, in order. */
  | { readonly kind: "tcp"; readonly send: string; readonly receive: readonly string[] }
  /** grpc.health.v1; the cluster must speak HTTP/2. */
  | {
      readonly kind: "grpc";
      readonly service: string;
      readonly authority?: string;
      readonly headers: readonly (readonly [name: string, value: string])[];
    };

/** Both included. */
export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

/** Consecutive failures of a kind eject a host; 0 is off. */
export interface OutlierDetection {
  readonly consecutive5xx: number;
  readonly consecutiveGatewayErrors: number;
  /** Failures to connect and resets count by themselves, and not as 5xx, where this is given. */
  readonly consecutiveLocalOrigin?: number;
  /** The statuses that are failures; undefined: 500 and above. */
  readonly failureStatuses?: readonly number[];
  /** Ejects hosts whose success rate is so many standard deviations below the mean of all. */
  readonly successRate?: OutlierStatistics & { readonly deviations: number };
  /** Ejects hosts of whose requests this part or more failed. */
  readonly failurePercentage?: OutlierStatistics & { readonly percent: number };
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionPercent: number;
}

/** Per interval: fewer requests say nothing of a host, fewer such hosts nothing of all. */
export interface OutlierStatistics {
  readonly minimumHosts: number;
  readonly minimumRequests: number;
}
