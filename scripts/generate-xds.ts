/**
 * Makes src/wire/xds/gen: for each message of src/wire/xds/messages.txt a TypeScript type (message-types.ts) and a
 * table of its fields (messages.ts), which src/wire/xds/protobuf.ts interprets. Two files, because the types are never
 * loaded: only the tables cost time when a sidecar starts.
 *
 * Numbers and types come from the published .proto files (Envoy's, as shipped with the gRPC xDS client) and from
 * src/wire/xds/proto, never from hand. Why tables and not a general protobuf library: docs/adr/0002.
 */

import { globSync, readFileSync, writeFileSync } from "node:fs";
import protobuf from "protobufjs";

const selectionFile = "src/wire/xds/messages.txt";
const outputFolder = "src/wire/xds/gen";
const sources: readonly string[] = [
  "node_modules/@grpc/grpc-js-xds/deps/envoy-api/envoy/**/v3/*.proto",
  "node_modules/@grpc/grpc-js-xds/deps/googleapis/google/rpc/status.proto",
  "src/wire/xds/proto/*.proto",
];

const scalarTypes: Readonly<Record<string, string>> = {
  string: "string",
  bytes: "Uint8Array",
  bool: "boolean",
  uint32: "number",
  int32: "number",
  int64: "number",
  uint64: "number",
  double: "number",
};

interface Selected {
  readonly name: string;
  readonly protobufName: string;
  readonly fields: readonly string[];
}

const selection = readSelection(readFileSync(selectionFile, "utf8"));
const nameOf = new Map(selection.map((message) => [message.protobufName, message.name]));
const root = readProtos(new Set(selection.map((message) => packageOf(message.protobufName))));
const notice = `// Made by scripts/generate-xds.ts from ${selectionFile}; do not edit.\n`;
const imports = `import type { MessageType } from "../protobuf.ts";
import { message } from "../protobuf.ts";
import type * as t from "./message-types.ts";\n`;
const rendered = selection.map(render);
write("message-types.ts", [notice, ...rendered.map((text) => text.type)]);
write("messages.ts", [notice, imports, ...enums(), ...rendered.map((text) => text.table)]);

function write(name: string, parts: readonly string[]): void {
  writeFileSync(`${outputFolder}/${name}`, parts.join("\n"));
}

function readSelection(text: string): Selected[] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const match = /^(\w+) = ([\w.]+):(.*)$/.exec(line);
      if (match === null) throw new SyntaxError(`${selectionFile}: cannot parse "${line}"`);
      const [, name = "", protobufName = "", fields = ""] = match;
      return { name, protobufName, fields: fields.trim().split(" ").filter(Boolean) };
    });
}

/** `envoy.config.rbac.v3` of `envoy.config.rbac.v3.Permission.Set`: up to the first capitalised part. */
function packageOf(protobufName: string): string {
  const parts = protobufName.split(".");
  return parts
    .slice(
      0,
      parts.findIndex((part) => /^[A-Z]/.test(part)),
    )
    .join(".");
}

/** Imports are not followed: a type that is needed is in the selection, and is looked up by its full name. */
function readProtos(packages: ReadonlySet<string>): protobuf.Root {
  const all = new protobuf.Root();
  for (const name of ["any", "duration", "wrappers", "struct"]) {
    const known = protobuf.common.get(`google/protobuf/${name}.proto`);
    if (known?.nested !== undefined) all.addJSON(known.nested);
  }
  for (const file of sources.flatMap((pattern) => globSync(pattern)).sort()) {
    const text = readFileSync(file, "utf8");
    const declared = /^package ([\w.]+);/m.exec(text)?.[1] ?? "";
    if (!packages.has(declared) && !declared.startsWith("envoy.type")) continue;
    protobuf.parse(text, all, { keepCase: true });
  }
  return all;
}

function render(selected: Selected): { readonly type: string; readonly table: string } {
  const type = root.lookupType(selected.protobufName);
  const fields = selected.fields.map((name) => {
    // protobufjs carries google.protobuf.Struct with its fields in camel case.
    const field = type.fields[name] ?? type.fields[camelCase(name)];
    if (field === undefined) throw new Error(`${selected.protobufName} has no field "${name}"`);
    return describe(type, field);
  });
  const { name, protobufName } = selected;
  const members = fields.map((field) => `  readonly ${field.name}?: ${field.type} | undefined;`);
  const rows = fields.map((field) => `  ${field.row},`);
  const declaration =
    fields.length === 0
      ? `export type ${name} = Readonly<Record<never, never>>;\n`
      : `export interface ${name} {\n${members.join("\n")}\n}\n`;
  return {
    type: `/** ${protobufName} */\n${declaration}`,
    table: `export const ${name}: MessageType<t.${name}> = message("${protobufName}", [\n${rows.join("\n")}\n]);\n`,
  };
}

interface FieldText {
  readonly name: string;
  readonly type: string;
  readonly row: string;
}

function describe(parent: protobuf.Type, field: protobuf.Field): FieldText {
  const name = camelCase(field.name);
  const scalar = scalarTypes[field.type];
  const target = scalar === undefined ? lookUp(parent, field.type) : undefined;
  const message = target instanceof protobuf.Type ? nameOf.get(fullName(target)) : undefined;
  if (target instanceof protobuf.Type && message === undefined) {
    throw new Error(`${fullName(parent)}.${field.name}: ${fullName(target)} is not selected`);
  }
  const isEnum = target instanceof protobuf.Enum;
  const single = scalar ?? message ?? "number";
  const kind = isEnum ? "enum" : scalar === undefined ? "message" : field.type;
  const rule =
    field instanceof protobuf.MapField
      ? "map"
      : field.repeated
        ? "many"
        : field.partOf !== null || message !== undefined
          ? "optional"
          : "plain";
  const type =
    rule === "map"
      ? `Readonly<Record<string, ${single}>>`
      : rule === "many"
        ? `readonly ${single}[]`
        : single;
  const sub = message === undefined ? "" : `, () => ${message}`;
  return { name, type, row: `[${field.id}, "${name}", "${kind}", "${rule}"${sub}]` };
}

/** Protobuf's JSON name of a field. */
function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function lookUp(parent: protobuf.Type, type: string): protobuf.ReflectionObject {
  const found = parent.lookup(type) ?? root.lookup(type);
  if (found === null) throw new Error(`${fullName(parent)}: cannot find type ${type}`);
  return found;
}

function fullName(object: protobuf.ReflectionObject): string {
  return object.fullName.slice(1);
}

/** The enums whose values Heddle names, as constants. */
function enums(): string[] {
  const wanted: readonly (readonly [string, string])[] = [
    ["TrafficDirection", "envoy.config.core.v3.TrafficDirection"],
    ["ApiVersion", "envoy.config.core.v3.ApiVersion"],
    ["ApiType", "envoy.config.core.v3.ApiConfigSource.ApiType"],
    ["AppendAction", "envoy.config.core.v3.HeaderValueOption.HeaderAppendAction"],
    ["DenominatorType", "envoy.type.v3.FractionalPercent.DenominatorType"],
    ["DiscoveryType", "envoy.config.cluster.v3.Cluster.DiscoveryType"],
    ["DnsLookupFamily", "envoy.config.cluster.v3.Cluster.DnsLookupFamily"],
    ["HealthStatus", "envoy.config.core.v3.HealthStatus"],
    ["LbPolicy", "envoy.config.cluster.v3.Cluster.LbPolicy"],
    ["LbSubsetFallback", "envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetFallbackPolicy"],
    [
      "LbSelectorFallback",
      "envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector.LbSubsetSelectorFallbackPolicy",
    ],
    [
      "SelectionMethod",
      "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest.SelectionMethod",
    ],
    ["RbacAction", "envoy.config.rbac.v3.RBAC.Action"],
    ["ProxyProtocolVersion", "envoy.config.core.v3.ProxyProtocolConfig.Version"],
    ["RequestMethod", "envoy.config.core.v3.RequestMethod"],
    ["RedirectCode", "envoy.config.route.v3.RedirectAction.RedirectResponseCode"],
    ["SanType", "envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher.SanType"],
    ["TlsProtocol", "envoy.extensions.transport_sockets.tls.v3.TlsParameters.TlsProtocol"],
    [
      "ForwardClientCert",
      "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.ForwardClientCertDetails",
    ],
  ];
  return wanted.map(([name, protobufName]) => {
    const values = Object.entries(root.lookupEnum(protobufName).values);
    const members = values.map(([key, number]) => `  ${key}: ${number},`).join("\n");
    return `/** ${protobufName} */\nexport const ${name} = {\n${members}\n} as const;\n`;
  });
}
