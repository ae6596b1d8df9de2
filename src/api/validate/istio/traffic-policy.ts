/** What a DestinationRule says of traffic: balancing, connections, outliers, TLS. */

import type { TrafficPolicy } from "../../istio/networking.ts";
import { duration } from "../duration.ts";
import { type Check, refine } from "../schema/check.ts";
import { list, record } from "../schema/record.ts";
import {
  anything,
  boolean,
  integer,
  nonEmpty,
  number,
  oneOf,
  portNumber,
  text,
} from "../schema/scalar.ts";
import { localityLbSetting } from "./locality.ts";

type Given = Readonly<Record<string, unknown>>;

/** A Maglev table of another size could never be filled. */
const primeSize: Check = (value, at) => {
  integer(1, 5_000_011)(value, at);
  if (typeof value !== "number" || !Number.isInteger(value)) return;
  for (let divisor = 2; divisor * divisor <= value; divisor++) {
    if (value % divisor !== 0) continue;
    at.error(`must be a prime, got ${value}`);
    return;
  }
};

/** Envoy's: a sidecar refuses a cluster with more points. */
const largestRing = 8_388_608;

/** RFC 6265 §4.1.1: what a Set-Cookie line may hold. */
const cookieAttribute = record({
  "name!": text((value) =>
    /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(value) ? undefined : "must be the name of an attribute",
  ),
  value: text((value) =>
    /^[ -:<-~]*$/.test(value) ? undefined : "must be printable ASCII without ;",
  ),
});

const consistentHash: Check = refine<Given>(
  record({
    httpHeaderName: nonEmpty,
    httpCookie: record({
      "name!": nonEmpty,
      path: text(),
      ttl: duration(0),
      attributes: list(cookieAttribute),
    }),
    useSourceIp: boolean,
    httpQueryParameterName: nonEmpty,
    ringHash: record({ minimumRingSize: integer(0, largestRing) }),
    maglev: record({ tableSize: primeSize }),
    minimumRingSize: integer(0, largestRing),
  }),
  (value, at) => {
    exclusive(
      value,
      ["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"],
      1,
      at,
    );
    exclusive(value, ["ringHash", "maglev"], 0, at);
  },
);

const loadBalancer: Check = refine<Given>(
  record({
    simple: oneOf(
      "UNSPECIFIED",
      "LEAST_CONN",
      "RANDOM",
      "PASSTHROUGH",
      "ROUND_ROBIN",
      "LEAST_REQUEST",
      "PEAK_EWMA", // Heddle's own
    ),
    consistentHash,
    localityLbSetting,
    zoneAwareLbSetting: anything,
    warmup: record({
      "duration!": duration(),
      minimumPercent: number(0, 100),
      aggression: number(0),
    }),
    warmupDurationSecs: duration(),
  }),
  (value, at) => {
    exclusive(value, ["simple", "consistentHash"], 0, at);
    exclusive(value, ["localityLbSetting", "zoneAwareLbSetting"], 0, at);
  },
);

const keepAlive = record({ probes: integer(0), time: duration(), interval: duration() });

const http: Check = refine<Given>(
  record({
    http1MaxPendingRequests: integer(0),
    http2MaxRequests: integer(0),
    maxRequestsPerConnection: integer(0),
    maxRetries: integer(0),
    maxConcurrentStreams: integer(0),
    idleTimeout: duration(),
    h2UpgradePolicy: oneOf("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"),
    useClientProtocol: boolean,
    http2KeepAlive: record({ "interval!": duration(), "timeout!": duration() }),
  }),
  (value, at) => {
    if (value["h2UpgradePolicy"] === "UPGRADE" && value["useClientProtocol"] === true) {
      at.field("useClientProtocol").error("must be absent where h2UpgradePolicy is UPGRADE");
    }
  },
);

const connectionPool: Check = refine<Given>(
  record({
    tcp: record({
      maxConnections: integer(0),
      connectTimeout: duration(),
      idleTimeout: duration(0),
      maxConnectionDuration: duration(),
      tcpKeepalive: keepAlive,
    }),
    http,
  }),
  (value, at) => {
    if (!value["tcp"] && !value["http"]) at.error("must have one of tcp, http, got none");
  },
);

const outlierDetection: Check = refine<Given>(
  record({
    consecutiveErrors: integer(0),
    consecutive5xxErrors: integer(0),
    consecutiveGatewayErrors: integer(0),
    consecutiveLocalOriginFailures: integer(0),
    splitExternalLocalOriginErrors: boolean,
    interval: duration(),
    baseEjectionTime: duration(),
    maxEjectionPercent: integer(0, 100),
    minHealthPercent: integer(0, 100),
    outlierDetectionHttpErrorCodes: list(integer(100, 599)),
  }),
  (value, at) => {
    const local = value["consecutiveLocalOriginFailures"];
    if (local && value["splitExternalLocalOriginErrors"] !== true) {
      const where = at.field("consecutiveLocalOriginFailures");
      where.error("must go with splitExternalLocalOriginErrors");
    }
    if (value["consecutiveErrors"] !== undefined) {
      const where = at.field("consecutiveErrors");
      where.warning("is deprecated: use consecutive5xxErrors or consecutiveGatewayErrors");
    }
  },
);

const tls: Check = refine<Given>(
  record({
    mode: oneOf("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"),
    clientCertificate: text(),
    privateKey: text(),
    caCertificates: text(),
    caCrl: text(),
    credentialName: text(),
    subjectAltNames: list(nonEmpty),
    sni: text(),
    insecureSkipVerify: boolean,
  }),
  (value, at) => {
    const { mode, credentialName } = value as { mode?: string; credentialName?: string };
    const files = ["clientCertificate", "privateKey"].filter((key) => value[key]);
    if (mode === "MUTUAL" && !credentialName && files.length < 2) {
      at.error("must have clientCertificate and privateKey, or credentialName, with mode MUTUAL");
    }
    if (value["insecureSkipVerify"] === true && mode === "SIMPLE") {
      for (const key of ["caCertificates", "credentialName", "subjectAltNames"]) {
        if (value[key]) at.field(key).error("must be absent with insecureSkipVerify");
      }
    }
  },
);

const tunnel = record({ protocol: text(), "targetHost!": nonEmpty, "targetPort!": portNumber });

const perPort = { loadBalancer, connectionPool, outlierDetection, tls };

export const trafficPolicy: Check = refine<TrafficPolicy>(
  record({
    ...perPort,
    portLevelSettings: list(record({ ...perPort, port: record({ number: portNumber }) })),
    proxyProtocol: record({ version: oneOf("V1", "V2") }),
    retryBudget: record({
      percent: number(0, 100),
      minRetryConcurrency: integer(0),
      budgetInterval: duration(),
    }),
    tunnel: (value, at) => {
      tunnel(value, at);
      at.warning("is passed over: connections go to the host itself");
    },
  }),
  ({ loadBalancer, outlierDetection }, at) => {
    const { failover, failoverPriority } = loadBalancer?.localityLbSetting ?? {};
    if (outlierDetection || !(failover ?? failoverPriority)) return;
    at.field("outlierDetection").warning("is required for failover to take effect");
  },
  ["loadBalancer"],
);

function exclusive(
  value: Given,
  keys: readonly string[],
  least: 0 | 1,
  at: { error(message: string): void },
): void {
  const given = keys.filter((key) => value[key] !== undefined && value[key] !== null);
  if (given.length <= 1 && given.length >= least) return;
  const got = given.length === 0 ? "none" : given.join(", ");
  at.error(
    `must have ${least === 1 ? "exactly" : "at most"} one of ${keys.join(", ")}, got ${got}`,
  );
}
