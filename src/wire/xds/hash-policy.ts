/** What of a request consistent hashing hashes. */

import type { HashKey } from "../../model/proxy-config.ts";
import { decodeDuration, encodeDuration, given, invalid, required } from "./field.ts";
import type { CookieAttribute, HashPolicy } from "./gen/message-types.ts";

export function encodeHashKey(key: HashKey): HashPolicy {
  switch (key.kind) {
    case "header":
      return { header: { headerName: key.name } };
    case "query":
      return { queryParameter: { name: key.name } };
    case "source-ip":
      return { connectionProperties: { sourceIp: true } };
    case "cookie":
      return {
        cookie: {
          name: key.name,
          ...given("path", key.path),
          ...given("ttl", key.ttlMs === undefined ? undefined : encodeDuration(key.ttlMs)),
          ...given(
            "attributes",
            key.attributes?.map(([name, value]) => ({ name, value })),
          ),
        },
      };
  }
}

export function decodeHashKey(policy: HashPolicy, path: string): HashKey {
  const { header, cookie, queryParameter } = policy;
  if (header !== undefined) {
    return { kind: "header", name: required(header.headerName, `${path}.header.header_name`) };
  }
  if (queryParameter !== undefined) {
    const name = required(queryParameter.name, `${path}.query_parameter.name`);
    return { kind: "query", name };
  }
  if (cookie !== undefined) {
    return {
      kind: "cookie",
      name: required(cookie.name, `${path}.cookie.name`),
      ...given("path", cookie.path || undefined),
      ...given("ttlMs", decodeDuration(cookie.ttl)),
      ...given(
        "attributes",
        decodeAttributes(cookie.attributes ?? [], `${path}.cookie.attributes`),
      ),
    };
  }
  if (policy.connectionProperties?.sourceIp === true) return { kind: "source-ip" };
  throw invalid(path, "want header, cookie, query_parameter or connection_properties.source_ip");
}

/** They become part of a line: nothing in them may end it, or the attribute. */
function decodeAttributes(
  attributes: readonly CookieAttribute[],
  path: string,
): readonly (readonly [string, string])[] | undefined {
  if (attributes.length === 0) return undefined;
  return attributes.map(({ name, value = "" }, index) => {
    const at = `${path}[${index}]`;
    if (!/^[ -:<-~]*$/.test(`${name}${value}`)) throw invalid(at, "want printable ASCII without ;");
    return [required(name, `${at}.name`), value];
  });
}
