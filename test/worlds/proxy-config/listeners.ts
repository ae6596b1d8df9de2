/** Random listeners, and the policies of their chains. */

import fc from "fast-check";
import { parseCidr, renderCidr } from "../../../src/base/ip.ts";
import type {
  DownstreamTls,
  FilterChain,
  Listener,
  NetworkFilter,
  OriginateTls,
  Permission,
  Principal,
  Rbac,
  Tracing,
} from "../../../src/model/proxy-config.ts";
import { plainWeighted, rateLimit, routeConfig } from "./routes.ts";
import {
  address,
  direction,
  headerMatch,
  maybe,
  ms,
  mutualTls,
  name,
  names,
  port,
  stringMatch,
} from "./values.ts";

const permission: fc.Arbitrary<Permission> = fc.letrec<{ it: Permission; leaf: Permission }>(
  (tie) => ({
    leaf: fc.oneof(
      fc.record({ kind: fc.constant("any" as const) }),
      fc.record({ kind: fc.constant("destination-port" as const), port }),
      fc.record({ kind: fc.constant("path" as const), match: stringMatch }),
      fc.record({ kind: fc.constant("header" as const), header: headerMatch }),
    ),
    it: fc.oneof(
      { maxDepth: 3 },
      tie("leaf"),
      fc.record({
        kind: fc.constantFrom("and" as const, "or" as const),
        of: fc.array(tie("it"), { minLength: 1, maxLength: 2 }),
      }),
      fc.record({ kind: fc.constant("not" as const), of: tie("it") }),
    ),
  }),
).it;

const principal: fc.Arbitrary<Principal> = fc.letrec<{ it: Principal; leaf: Principal }>((tie) => ({
  leaf: fc.oneof(
    fc.record({ kind: fc.constant("any" as const) }),
    fc.record({ kind: fc.constant("authenticated" as const), match: stringMatch }),
    fc.record({
      kind: fc.constantFrom("source-ip" as const, "remote-ip" as const),
      cidr: fc
        .tuple(address, fc.integer({ min: 0, max: 32 }))
        .map(([address, length]) => renderCidr(parseCidr(`${address}/${length}`))),
    }),
    fc.record({ kind: fc.constant("header" as const), header: headerMatch }),
  ),
  it: fc.oneof(
    { maxDepth: 3 },
    tie("leaf"),
    fc.record({
      kind: fc.constantFrom("and" as const, "or" as const),
      of: fc.array(tie("it"), { minLength: 1, maxLength: 2 }),
    }),
    fc.record({ kind: fc.constant("not" as const), of: tie("it") }),
  ),
})).it;

const rbac: fc.Arbitrary<Rbac> = fc.record({
  action: fc.constantFrom("allow" as const, "deny" as const),
  policies: fc.uniqueArray(
    fc.record({
      name: name.map((name) => `ns[shop]-policy[${name}]-rule[0]`),
      permissions: fc.array(permission, { minLength: 1, maxLength: 2 }),
      principals: fc.array(principal, { minLength: 1, maxLength: 2 }),
    }),
    { selector: (policy) => policy.name, maxLength: 2 },
  ),
});
const rbacs = fc.array(rbac, { maxLength: 2 });

const tracing: fc.Arbitrary<Tracing> = fc.record({
  cluster: name,
  host: name.map((name) => `${name}.observe:4318`),
  path: fc.constantFrom("/", "/v1/traces"),
  service: name,
  percent: fc.constantFrom(0, 0.5, 100),
});

const filter: fc.Arbitrary<NetworkFilter> = fc.oneof(
  fc.record(
    {
      kind: fc.constant("http" as const),
      statPrefix: name,
      routes: fc.oneof(
        fc.record({ kind: fc.constant("rds" as const), name }),
        fc.record({ kind: fc.constant("inline" as const), config: routeConfig }),
      ),
      translatesGrpcWeb: fc.constant(true),
      rbac: rbacs,
      rateLimit,
      accessLog: fc.constant(true),
      tracing,
    },
    { requiredKeys: ["kind", "statPrefix", "routes", "rbac"] },
  ),
  fc.record(
    {
      kind: fc.constant("tcp" as const),
      statPrefix: name,
      clusters: fc.array(plainWeighted, { minLength: 1, maxLength: 3 }),
      idleTimeoutMs: ms,
      accessLog: fc.constant(true),
    },
    { requiredKeys: ["kind", "statPrefix", "clusters"] },
  ),
);

const clients: fc.Arbitrary<DownstreamTls["clients"]> = fc.oneof(
  fc.constant({ kind: "mesh" as const }),
  fc.record(
    {
      kind: fc.constant("anyone" as const),
      names,
      leastVersion: fc.constantFrom("TLSv1.2" as const, "TLSv1.3" as const),
      mostVersion: fc.constant("TLSv1.2" as const),
    },
    { requiredKeys: ["kind", "names", "leastVersion"] },
  ),
);

export const originate: fc.Arbitrary<OriginateTls> = fc.record(
  {
    certificate: name,
    trust: fc.oneof(
      fc.record({ kind: fc.constant("secret" as const), name }),
      fc.constant({ kind: "public" as const }),
    ),
    sni: name,
    alpn: names,
    names,
  },
  { requiredKeys: ["trust", "alpn", "names"] },
);

const filterChain: fc.Arbitrary<FilterChain> = fc.record(
  {
    name,
    match: fc.record(
      {
        destinationPort: port,
        destinations: fc.array(fc.constantFrom("10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"), {
          minLength: 1,
          maxLength: 2,
        }),
        transport: fc.constantFrom("tls" as const, "raw" as const),
        serverNames: fc.array(name, { minLength: 1, maxLength: 2 }),
        applicationProtocols: fc.array(name, { minLength: 1, maxLength: 2 }),
      },
      maybe,
    ),
    tls: fc.record({ requireClientCertificate: fc.boolean(), ...mutualTls, clients }),
    rbac: rbacs,
    filter,
  },
  { requiredKeys: ["name", "match", "rbac", "filter"] },
);

export const listener: fc.Arbitrary<Listener> = fc.record(
  {
    name,
    direction,
    address,
    port,
    bindToPort: fc.boolean(),
    proxyProtocol: fc.constantFrom("required" as const, "optional" as const),
    useOriginalDestination: fc.boolean(),
    filterChains: fc.array(filterChain, { maxLength: 3 }),
    defaultFilterChain: filterChain,
  },
  {
    requiredKeys: [
      "name",
      "direction",
      "address",
      "port",
      "bindToPort",
      "useOriginalDestination",
      "filterChains",
    ],
  },
);
