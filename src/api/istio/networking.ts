/** networking.istio.io/v1: the fields that Heddle acts on so far; JSON names, durations as text (`1.5s`). */

import type { Resource } from "../resource.ts";

export interface VirtualService extends Resource {
  readonly kind: "VirtualService";
  readonly spec: {
    readonly hosts?: readonly string[];
    /** Absent means `["mesh"]`. */
    readonly gateways?: readonly string[];
    readonly exportTo?: readonly string[];
    readonly http?: readonly HttpRoute[];
    readonly tcp?: readonly TcpRoute[];
  };
}

export interface HttpRoute {
  readonly name?: string;
  readonly match?: readonly HttpMatchRequest[];
  readonly route?: readonly HttpRouteDestination[];
  readonly redirect?: {
    readonly uri?: string;
    readonly authority?: string;
    readonly scheme?: string;
    readonly port?: number;
    readonly redirectCode?: number;
  };
  readonly directResponse?: {
    readonly status: number;
    readonly body?: { readonly string?: string };
  };
  readonly rewrite?: { readonly uri?: string; readonly authority?: string };
  readonly timeout?: string;
  readonly retries?: {
    readonly attempts?: number;
    readonly perTryTimeout?: string;
    readonly retryOn?: string;
  };
  readonly fault?: {
    readonly delay?: {
      readonly percentage?: { readonly value: number };
      readonly percent?: number;
      readonly fixedDelay?: string;
    };
    readonly abort?: {
      readonly percentage?: { readonly value: number };
      readonly percent?: number;
      readonly httpStatus?: number;
    };
  };
  readonly headers?: { readonly request?: HeaderOperations; readonly response?: HeaderOperations };
}

export interface HeaderOperations {
  readonly set?: Readonly<Record<string, string>>;
  readonly add?: Readonly<Record<string, string>>;
  readonly remove?: readonly string[];
}

/** Fields of one request match are a conjunction; the list of them a disjunction. */
export interface HttpMatchRequest {
  readonly name?: string;
  readonly uri?: StringMatch;
  readonly scheme?: StringMatch;
  readonly method?: StringMatch;
  readonly authority?: StringMatch;
  readonly headers?: Readonly<Record<string, StringMatch>>;
  readonly withoutHeaders?: Readonly<Record<string, StringMatch>>;
  readonly queryParams?: Readonly<Record<string, StringMatch>>;
  readonly ignoreUriCase?: boolean;
  readonly port?: number;
  readonly sourceLabels?: Readonly<Record<string, string>>;
  readonly sourceNamespace?: string;
  readonly gateways?: readonly string[];
}

/** Exactly one of the fields; an empty object means: present. */
export interface StringMatch {
  readonly exact?: string;
  readonly prefix?: string;
  readonly regex?: string;
}

export interface Destination {
  readonly host: string;
  readonly subset?: string;
  readonly port?: { readonly number?: number };
}

export interface HttpRouteDestination {
  readonly destination: Destination;
  readonly weight?: number;
  readonly headers?: { readonly request?: HeaderOperations; readonly response?: HeaderOperations };
}

export interface TcpRoute {
  readonly match?: readonly {
    readonly port?: number;
    readonly sourceLabels?: Readonly<Record<string, string>>;
  }[];
  readonly route?: readonly { readonly destination: Destination; readonly weight?: number }[];
}

export interface DestinationRule extends Resource {
  readonly kind: "DestinationRule";
  readonly spec: {
    readonly host: string;
    readonly trafficPolicy?: TrafficPolicy;
    readonly subsets?: readonly {
      readonly name: string;
      readonly labels?: Readonly<Record<string, string>>;
      readonly trafficPolicy?: TrafficPolicy;
    }[];
    readonly exportTo?: readonly string[];
  };
}

export interface TrafficPolicy {
  readonly loadBalancer?: { readonly simple?: string };
  readonly connectionPool?: {
    readonly tcp?: { readonly maxConnections?: number; readonly connectTimeout?: string };
    readonly http?: {
      readonly http1MaxPendingRequests?: number;
      readonly http2MaxRequests?: number;
      readonly maxRetries?: number;
    };
  };
  readonly outlierDetection?: {
    readonly consecutive5xxErrors?: number;
    readonly consecutiveGatewayErrors?: number;
    readonly interval?: string;
    readonly baseEjectionTime?: string;
    readonly maxEjectionPercent?: number;
  };
  readonly tls?: { readonly mode?: "DISABLE" | "SIMPLE" | "MUTUAL" | "ISTIO_MUTUAL" };
}
