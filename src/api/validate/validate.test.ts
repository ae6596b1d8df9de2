import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parse } from "yaml";
import { kinds } from "../kinds.ts";
import { renderIssue } from "./issue.ts";
import { manifestIssues, parseManifests, renderManifestIssue } from "./manifest.ts";
import { validateObject } from "./object.ts";

/** What validation says of a kind's spec written in YAML: `error path: message`, or nothing. */
function issuesOf(kind: string, spec: string, rest: object = {}): readonly string[] {
  const known = kinds.find((one) => one.kind === kind);
  const object = {
    apiVersion: known?.apiVersions[0],
    kind,
    metadata: { name: "it", ...(known?.namespaced && { namespace: "shop" }) },
    ...(spec !== "" && { spec: parse(spec) }),
    ...rest,
  };
  return validateObject(object).map((issue) => `${issue.severity} ${renderIssue(issue)}`);
}

/** Kind, spec, and everything that is said of it. */
type Case = readonly [title: string, kind: string, spec: string, ...issues: string[]];

const minimal = "containers: [{name: app, image: app}]";

const cases: readonly Case[] = [
  ["a Service", "Service", "{selector: {app: web}, ports: [{port: 80, targetPort: http}]}"],
  [
    "a port out of range",
    "Service",
    "{ports: [{port: 70000}]}",
    "error spec.ports[0].port: must be 1..65535, got 70000",
  ],
  [
    "a port that is text",
    "Service",
    '{ports: [{port: "80"}]}',
    "error spec.ports[0].port: must be an integer, got string",
  ],
  [
    "several ports without names",
    "Service",
    "{ports: [{port: 80}, {port: 81, name: a}, {port: 82, name: a}]}",
    "error spec.ports[0].name: is required where there are several ports",
    'error spec.ports[2].name: must be unique among ports, got "a"',
  ],
  [
    "a cluster address that is none",
    "Service",
    "{clusterIP: 10.96.0.300, ports: [{port: 80}]}",
    'error spec.clusterIP: must be an IP address, got "10.96.0.300"',
  ],
  ["a headless Service without ports", "Service", "{clusterIP: None, selector: {app: db}}"],
  [
    "everything wrong at once, and a misspelled field",
    "Service",
    "{type: Cluster, port: 80, ports: [{port: 0, protocol: HTTP}]}",
    'error spec.type: must be one of ClusterIP, NodePort, LoadBalancer, ExternalName, got "Cluster"',
    'error spec.ports[0].protocol: must be one of TCP, UDP, SCTP, got "HTTP"',
    "error spec.ports[0].port: must be 1..65535, got 0",
    "warning spec.port: unknown field, did you mean ports?",
  ],
  ["a Pod", "Pod", minimal],
  ["a Pod without containers", "Pod", "{}", "error spec.containers: is required"],
  [
    "a Pod with an empty list of them",
    "Pod",
    "{containers: []}",
    "error spec.containers: must have 1 or more items, got 0",
  ],
  [
    "two containers of one name",
    "Pod",
    "{containers: [{name: a, image: x}, {name: a, image: y}]}",
    'error spec.containers[1].name: must be unique among containers, got "a"',
  ],
  [
    "a Deployment whose selector misses its template and that has another mistake",
    "Deployment",
    `{replicas: -1, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: cart}}, spec: {${minimal}}}}`,
    "error spec.replicas: must be 0 or more, got -1",
    'error spec.template.metadata.labels: must be selected by spec.selector: app must be "web", got "cart"',
  ],
  [
    "a Deployment whose selector misses its template, otherwise fine",
    "Deployment",
    `{selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: cart}}, spec: {${minimal}}}}`,
    'error spec.template.metadata.labels: must be selected by spec.selector: app must be "web", got "cart"',
  ],
  [
    "a template that wants a sidecar mode that is none",
    "Deployment",
    `{selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}, annotations: {heddle.dev/sidecar-mode: ambient}}, spec: {${minimal}}}}`,
    'error spec.template.metadata.annotations["heddle.dev/sidecar-mode"]: must be one of dedicated, shared, got "ambient"',
  ],
  [
    "a selector with an unknown operator",
    "NetworkPolicy",
    "{podSelector: {matchExpressions: [{key: app, operator: In, values: [a]}, {key: app, operator: Is}]}}",
    'error spec.podSelector.matchExpressions[1].operator: must be one of In, NotIn, Exists, DoesNotExist, got "Is"',
  ],
  [
    "values where they are forbidden and none where they are required",
    "NetworkPolicy",
    "{podSelector: {matchExpressions: [{key: a, operator: In}, {key: b, operator: Exists, values: [x]}]}}",
    "error spec.podSelector.matchExpressions[0].values: is required with operator In",
    "error spec.podSelector.matchExpressions[1].values: must be absent with operator Exists, got 1 items",
  ],
  [
    "blocks",
    "NetworkPolicy",
    "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/33}}, {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 11.0.0.0/16]}}, {ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}, {}]}]}",
    'error spec.ingress[0].from[0].ipBlock.cidr: must be a CIDR such as 10.0.0.0/8 (prefix length must be 0..32), got "10.0.0.0/33"',
    'error spec.ingress[0].from[1].ipBlock.except[1]: must be a smaller part of 10.0.0.0/8, got "11.0.0.0/16"',
    "error spec.ingress[0].from[2]: must have either ipBlock or selectors, got both",
    "error spec.ingress[0].from[3]: must have one of podSelector, namespaceSelector, ipBlock, got none",
  ],
  [
    "port ranges",
    "NetworkPolicy",
    "{podSelector: {}, policyTypes: [Egres], egress: [{ports: [{port: 80, endPort: 79}, {port: http, endPort: 90}, {port: 80, endPort: 90}]}]}",
    'error spec.policyTypes[0]: must be one of Ingress, Egress, got "Egres"',
    "error spec.egress[0].ports[0].endPort: must be port (80) or more, got 79",
    'error spec.egress[0].ports[1].port: must be a number where endPort is given, got "http"',
  ],
  [
    "weights that do not add up",
    "VirtualService",
    "{hosts: [a], http: [{route: [{destination: {host: a}, weight: 80}, {destination: {host: b}, weight: 10}]}]}",
    "warning spec.http[0].route: weights must sum to 100, got 90",
  ],
  [
    "weights that are all zero, and a negative one",
    "VirtualService",
    "{hosts: [a], http: [{route: [{destination: {host: a}}, {destination: {host: b}}]}], tcp: [{route: [{destination: {host: a}, weight: -1}]}]}",
    "error spec.http[0].route: weights of several destinations must not all be 0",
    "error spec.tcp[0].route[0].weight: must be 0 or more, got -1",
  ],
  [
    "a match with two forms, one with none, and a broken expression",
    "VirtualService",
    "{hosts: [a], http: [{match: [{uri: {exact: /a, prefix: /b}}, {uri: {}}, {headers: {x: {regex: '['}}}], route: [{destination: {host: a}}]}]}",
    "error spec.http[0].match[0].uri: must have exactly one of exact, prefix, regex, got exact, prefix",
    "error spec.http[0].match[1].uri: must have exactly one of exact, prefix, regex, got none",
    'error spec.http[0].match[2].headers["x"].regex: must be a regular expression (unterminated character class), got "["',
  ],
  [
    "durations and percents",
    "VirtualService",
    "{hosts: [a], http: [{timeout: 5, fault: {delay: {fixedDelay: soon, percentage: {value: 101}}}, route: [{destination: {host: a}}]}]}",
    "error spec.http[0].timeout: must be a duration such as 1.5s, got number",
    "error spec.http[0].fault.delay.percentage.value: must be 0..100, got 101",
    'error spec.http[0].fault.delay.fixedDelay: must be a duration such as 1.5s, 250ms or 1h30m, got "soon"',
  ],
  [
    "faults that would hit nobody, and one that is none",
    "VirtualService",
    "{hosts: [a], http: [{fault: {delay: {fixedDelay: 1s}, abort: {grpcStatus: unavailable, percent: 1}}, route: [{destination: {host: a}}]}]}",
    "warning spec.http[0].fault.delay.percentage: is required for the fault to hit anybody",
    'error spec.http[0].fault.abort.grpcStatus: must be one of OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, RESOURCE_EXHAUSTED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS, UNAUTHENTICATED, got "unavailable"',
  ],
  [
    "a condition to retry on that nobody knows, and two rewrites of one path",
    "VirtualService",
    "{hosts: [a], http: [{retries: {attempts: 2, retryOn: 'gateway_error, 503,reset'}, rewrite: {uri: /, uriRegexRewrite: {match: a, rewrite: b}}, route: [{destination: {host: a}}]}]}",
    "error spec.http[0].rewrite: must have at most one of uri, uriRegexRewrite, got uri, uriRegexRewrite",
    'error spec.http[0].retries.retryOn: must be conditions that Envoy knows, or statuses: not gateway_error, got "gateway_error, 503,reset"',
  ],
  [
    "what TCP is not told apart by",
    "VirtualService",
    "{hosts: [a], tcp: [{match: [{destinationSubnets: [10.0.0.0/8], sourceSubnet: 10.1.0.0/16}], route: [{destination: {host: a}}]}]}",
    "warning spec.tcp[0].match[0].destinationSubnets: is passed over: connections are told apart by host, port, name and who calls",
    "warning spec.tcp[0].match[0].sourceSubnet: is passed over: connections are told apart by host, port, name and who calls",
  ],
  [
    "a ring that no proxy makes",
    "DestinationRule",
    "{host: a, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 8388609}}}}}",
    "error spec.trafficPolicy.loadBalancer.consistentHash.ringHash.minimumRingSize: must be 0..8388608, got 8388609",
  ],
  [
    "an expression that RE2 does not read, beside one that ECMAScript alone does not",
    "VirtualService",
    "{hosts: [a], http: [{match: [{uri: {regex: '(?=a)b'}}, {uri: {regex: '(?s)/(?P<x>[[:alpha:]]+)'}}], route: [{destination: {host: a}}]}]}",
    'error spec.http[0].match[0].uri.regex: must be a regular expression (no looking around: (?=), got "(?=a)b"',
  ],
  [
    "a tunnel",
    "DestinationRule",
    "{host: a, trafficPolicy: {tunnel: {protocol: CONNECT, targetHost: b, targetPort: 443}}}",
    "warning spec.trafficPolicy.tunnel: is passed over: connections go to the host itself",
  ],
  [
    "a redirect with a status that sends nobody elsewhere",
    "VirtualService",
    "{hosts: [a], http: [{redirect: {uri: /, redirectCode: 304}}]}",
    "error spec.http[0].redirect.redirectCode: must be one of 301, 302, 303, 307, 308, got 304",
  ],
  [
    "a direct response whose bytes are no text",
    "VirtualService",
    "{hosts: [a], http: [{directResponse: {status: 200, body: {bytes: //8=}}}]}",
    'error spec.http[0].directResponse.body.bytes: must be text (UTF-8) in base64, got "//8="',
  ],
  [
    "a route that forwards and redirects",
    "VirtualService",
    "{hosts: [a], http: [{redirect: {uri: /}, route: [{destination: {host: a}}]}, {}]}",
    "error spec.http[0]: must have exactly one of route, redirect, directResponse, delegate, got route, redirect",
    "error spec.http[1]: must have exactly one of route, redirect, directResponse, delegate, got none",
  ],
  [
    "a VirtualService without hosts, to be delegated to",
    "VirtualService",
    "{http: [{route: [{destination: {host: a}}]}]}",
  ],
  [
    "a VirtualService without hosts that has what only one with hosts can have",
    "VirtualService",
    "{gateways: [front], http: [{delegate: {name: a}}], tcp: [{route: [{destination: {host: a}}]}]}",
    "error spec.gateways: must be absent without spec.hosts: a delegate has http only",
    "error spec.tcp: must be absent without spec.hosts: a delegate has http only",
    "error spec.http[0].delegate: must be absent without spec.hosts: a delegate does not delegate",
  ],
  [
    "a rule that delegates and forwards",
    "VirtualService",
    "{hosts: [a], http: [{delegate: {name: a}, directResponse: {status: 200}}, {delegate: {name: a}, route: [{destination: {host: a}}]}]}",
    "error spec.http[1]: must have exactly one of route, redirect, directResponse, delegate, got route, delegate",
  ],
  [
    "a DestinationRule",
    "DestinationRule",
    "{host: a, subsets: [{name: v1}, {name: v1}], trafficPolicy: {loadBalancer: {simple: FASTEST}, outlierDetection: {maxEjectionPercent: 101}}}",
    'error spec.trafficPolicy.loadBalancer.simple: must be one of UNSPECIFIED, LEAST_CONN, RANDOM, PASSTHROUGH, ROUND_ROBIN, LEAST_REQUEST, PEAK_EWMA, got "FASTEST"',
    "error spec.trafficPolicy.outlierDetection.maxEjectionPercent: must be 0..100, got 101",
    'error spec.subsets[1].name: must be unique, got "v1"',
  ],
  [
    "an AuthorizationPolicy with an empty source and an action that is none",
    "AuthorizationPolicy",
    "{action: PERMIT, rules: [{from: [{source: {}}], to: [{operation: {ports: [80]}}]}]}",
    'error spec.action: must be one of ALLOW, DENY, AUDIT, CUSTOM, got "PERMIT"',
    "error spec.rules[0].from[0].source: must have at least one field",
    "error spec.rules[0].to[0].operation.ports[0]: must be a string, got number",
  ],
  [
    "an AuthorizationPolicy that asks for addresses and ports that are none",
    "AuthorizationPolicy",
    '{rules: [{when: [{key: source.ip, values: [10.0.0.0/8, 10.0.0.0/33]}, {key: destination.port, notValues: ["http"]}, {key: remote.ip, values: ["fd00::1"]}]}]}',
    'error spec.rules[0].when[0].values[1]: must be an IP address or a CIDR such as 10.0.0.0/8, got "10.0.0.0/33"',
    'error spec.rules[0].when[1].notValues[0]: must be a port number as text, such as "8080", got "http"',
  ],
  [
    "a PeerAuthentication for a port",
    "PeerAuthentication",
    '{portLevelMtls: {"http": {mode: STRICT}}}',
    'error spec.portLevelMtls["http"]: must be a port number as text, such as "8080", got "http"',
  ],
  [
    "a ServiceEntry that looks names up",
    "ServiceEntry",
    '{hosts: ["*.a.example"], addresses: [10.0.0.0/8], ports: [{number: 80, name: web, protocol: HTTPX}, {number: 80, name: web}], resolution: DNS}',
    'error spec.ports[0].protocol: must be one of HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, TLS, TCP, UDP, MONGO, REDIS, MYSQL, got "HTTPX"',
  ],
  [
    "a ServiceEntry of ranges and wildcards that looks names up",
    "ServiceEntry",
    '{hosts: ["*.a.example"], addresses: [10.0.0.0/8], ports: [{number: 80, name: web}, {number: 80, name: web}], resolution: DNS}',
    'error spec.ports[1].name: must be unique, got "web"',
    "error spec.ports[1].number: must be unique, got 80",
    'error spec.addresses[0]: must be one address with resolution DNS, got "10.0.0.0/8"',
    'error spec.hosts[0]: must be a name that can be looked up: resolution DNS without endpoints, got "*.a.example"',
  ],
  [
    "a ServiceEntry with endpoints of another kind than its resolution's",
    "ServiceEntry",
    "{hosts: [a.example], ports: [{number: 80, name: web, protocol: HTTP}], resolution: STATIC, endpoints: [{address: b.example}, {address: 192.0.2.1, ports: {wbe: 8080}}]}",
    'error spec.endpoints[0].address: must be an IP address with resolution STATIC, got "b.example"',
    'error spec.endpoints[1].ports["wbe"]: must be the name of one of spec.ports',
  ],
  [
    "a ServiceEntry that takes a whole port",
    "ServiceEntry",
    "{hosts: [a.example], ports: [{number: 5432, name: sql, protocol: TCP}]}",
    "warning spec.ports[0]: takes every connection to port 5432 that nobody else takes: there are no addresses",
  ],
  [
    "a WorkloadEntry",
    "WorkloadEntry",
    "{address: a_b/c, weight: -1}",
    'error spec.address: must be an IP address, a DNS name, or unix:// and an absolute path, got "a_b/c"',
    "error spec.weight: must be 0 or more, got -1",
  ],
  [
    "a Network",
    "Network",
    "{podCidr: 10.0.0.0/8, blockPrefixLength: 26, serviceCidr: 10.96.0.0/16, encap: none}",
    'error spec.serviceCidr: must not overlap podCidr 10.0.0.0/8, got "10.96.0.0/16"',
  ],
  [
    "a Network's port of WireGuard",
    "Network",
    "{podCidr: 10.244.0.0/16, blockPrefixLength: 26, serviceCidr: 10.96.0.0/16, encap: wireguard, wireguardPort: 65536}",
    "error spec.wireguardPort: must be 1..65535, got 65536",
  ],
  [
    "an AddressBlock under another name",
    "AddressBlock",
    "{cidr: 10.244.0.0/26, node: node-1}",
    'error metadata.name: must be "10.244.0.0-26" as its cidr, got "it"',
  ],
];

/** Every field and every item, with what holds it. */
function placesIn(holder: object): [holder: Record<string, unknown>, key: string][] {
  return Object.entries(holder).flatMap(([key, value]) => [
    [holder as Record<string, unknown>, key],
    ...(typeof value === "object" && value !== null ? placesIn(value) : []),
  ]);
}

describe("validation of", () => {
  for (const [title, kind, spec, ...issues] of cases) {
    test(`${title} ${issues.length === 0 ? "finds nothing" : "says what is wanted and what was found"}`, () => {
      assert.deepEqual(issuesOf(kind, spec), issues);
    });
  }

  test("takes fields that are null for absent, and survives whatever else stands in their place", () => {
    // A key of YAML with nothing behind it is null; templates leave many of those behind.
    const odd = [null, 5, "x", true, {}, [], [null], [5], { a: null }];
    const samples = [
      ...cases,
      [
        "",
        "Service",
        "{type: LoadBalancer, clusterIPs: [], ipFamilies: [], externalIPs: [], ports: []}",
      ],
      ["", "VirtualService", "{hosts: [a], gateways: [mesh], tls: [], tcp: []}"],
      ["", "Pod", `{initContainers: [], ${minimal}}`],
    ] as const;
    for (const [, kind, spec] of samples) {
      const whole = { spec: parse(spec) };
      for (const [holder, key] of placesIn(whole)) {
        const before = holder[key];
        for (const value of odd) {
          holder[key] = value;
          assert.doesNotThrow(() => issuesOf(kind, "", whole), `${kind} ${JSON.stringify(whole)}`);
        }
        holder[key] = before;
      }
    }
    const written =
      "{hosts: [a], gateways: , http: [{match: , timeout: , route: [{destination: {host: a}, weight: }]}]}";
    assert.deepEqual(issuesOf("VirtualService", written), []);
  });

  test("names and labels follows Kubernetes", () => {
    const labels = { "bad key!": "v", good: "a value" };
    const metadata = { name: "Cart_1", namespace: "shop", labels };
    assert.deepEqual(issuesOf("ConfigMap", "", { metadata }), [
      'error metadata.name: must be a DNS name (letters a-z, digits, - and ., at most 253, no - or . at either end), got "Cart_1"',
      'error metadata.labels["bad key!"]: must be a label key: [DNS name/]letters, digits, -, _ and ., at most 63, got "bad key!"',
      'error metadata.labels["good"]: must be a label value: letters, digits, -, _ and ., at most 63, alphanumeric at both ends, got "a value"',
    ]);
  });

  test("a Pod's sidecar mode takes the two that there are", () => {
    const annotated = (mode: string) => {
      const metadata = { name: "a", annotations: { "heddle.dev/sidecar-mode": mode } };
      return issuesOf("Pod", `{${minimal}}`, { metadata });
    };
    for (const mode of ["dedicated", "shared"]) assert.deepEqual(annotated(mode), []);
    assert.deepEqual(annotated("Shared"), [
      'error metadata.annotations["heddle.dev/sidecar-mode"]: must be one of dedicated, shared, got "Shared"',
    ]);
  });

  test("what goes past a Pod's sidecar takes lists, and all where Istio does", () => {
    const annotated = (name: string, list: string) => {
      const annotations = { [`traffic.sidecar.istio.io/${name}`]: list };
      return issuesOf("Pod", `{${minimal}}`, { metadata: { name: "a", annotations } });
    };
    for (const [name, list] of [
      ["includeInboundPorts", "*"],
      ["includeInboundPorts", ""],
      ["excludeOutboundPorts", "3306, 6379"],
      ["includeOutboundIPRanges", "*"],
      ["excludeOutboundIPRanges", "10.0.0.0/8,fd00::/8"],
    ] as const) {
      assert.deepEqual(annotated(name, list), [], `${name} ${list}`);
    }
    const where = (name: string) =>
      `error metadata.annotations["traffic.sidecar.istio.io/${name}"]`;
    assert.deepEqual(annotated("excludeInboundPorts", "*"), [
      `${where("excludeInboundPorts")}: must be a list of ports such as 3306,6379, got "*"`,
    ]);
    assert.deepEqual(annotated("includeInboundPorts", "http"), [
      `${where("includeInboundPorts")}: must be * or a list of ports such as 3306,6379, got "http"`,
    ]);
    assert.deepEqual(annotated("excludeOutboundIPRanges", "10.0.0.1"), [
      `${where("excludeOutboundIPRanges")}: must be a list of CIDRs such as 10.0.0.0/8,192.0.2.0/24, got "10.0.0.1"`,
    ]);
  });

  test("every kind in the list of kinds is possible", () => {
    for (const { kind } of kinds) {
      const issues = issuesOf(kind, "{}");
      assert.ok(!issues.some((issue) => issue.includes("known kind")), kind);
    }
  });
});

describe("manifests", () => {
  const issuesIn = (text: string) => {
    const { objects, issues } = parseManifests(text, "shop.yaml");
    return [...issues, ...objects.flatMap(manifestIssues)].map(renderManifestIssue);
  };

  test("of several documents give each object its document and line", () => {
    const { objects, issues } = parseManifests(
      "# nothing here\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n---\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n",
      "two.yaml",
    );
    assert.deepEqual(issues, []);
    assert.deepEqual(
      objects.map(({ object, source, document, line }) => [
        object.metadata.name,
        source,
        document,
        line,
      ]),
      [
        ["a", "two.yaml", 1, 3],
        ["b", "two.yaml", 3, 9],
      ],
    );
  });

  test("lead from an issue to its line", () => {
    assert.deepEqual(
      issuesIn(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ports:\n  - name: http\n    port: 70000\n",
      ),
      ["shop.yaml:8:5: Service web: spec.ports[0].port: must be 1..65535, got 70000"],
    );
  });

  test("that are malformed say where", () => {
    const [issue = ""] = issuesIn("apiVersion: v1\nkind: Service\n  metadata: {name: web\n");
    assert.match(issue, /^shop\.yaml:\d+:\d+: malformed YAML: /);
    assert.match(
      issuesIn("a: 1\na: 2\n")[0] ?? "",
      /^shop\.yaml:2:1: malformed YAML: map keys must be unique/,
    );
  });

  test("without what makes an object say what is missing, all of it", () => {
    assert.deepEqual(issuesIn("metadata: {}\n"), [
      "shop.yaml:1:1: apiVersion: is required",
      "shop.yaml:1:1: kind: is required",
      "shop.yaml:1:1: metadata.name: is required",
    ]);
    assert.deepEqual(issuesIn("- 1\n"), ["shop.yaml:1:1: must be an object, got list"]);
  });

  test("of an unknown kind or a wrong version name the nearest", () => {
    assert.deepEqual(
      issuesIn(
        "apiVersion: v1\nkind: Deploiment\nmetadata: {name: a}\n---\napiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: a}\n",
      ),
      [
        'shop.yaml:2:1: kind: must be a kind that Heddle knows, such as Deployment (apps/v1), got "Deploiment"',
        'shop.yaml:5:1: apiVersion: must be apps/v1 for Deployment, got "extensions/v1beta1"',
      ],
    );
  });

  test("of kind List are their items", () => {
    const { objects } = parseManifests(
      "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: a}\n- apiVersion: v1\n  kind: Service\n  metadata: {name: b}\n  spec: {ports: [{port: 0}]}\n",
      "list.yaml",
    );
    assert.deepEqual(
      objects.map(({ object, line }) => [object.metadata.name, line]),
      [
        ["a", 4],
        ["b", 7],
      ],
    );
    assert.deepEqual(objects.flatMap(manifestIssues).map(renderManifestIssue), [
      "list.yaml:10:19: Service b: spec.ports[0].port: must be 1..65535, got 0",
    ]);
  });
});
