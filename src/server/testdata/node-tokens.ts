/** Nodes' tokens: made by the administrator, and what opens the API with them. */

import assert from "node:assert/strict";
import { Secret } from "../../base/secret.ts";
import { type Endpoint, type HttpTransport, httpTransport } from "../../rpc/http-transport.ts";
import type { ObjectClient } from "../../rpc/object-client.ts";
import type { Bootstrap } from "../api/extensions.ts";
import { clientOver } from "./running-server.ts";

export async function issueToken(admin: HttpTransport, node: string): Promise<Bootstrap> {
  const request = { method: "POST", path: "/heddle/v1/node-tokens", body: { node } };
  const { code, body } = await admin.send(request);
  assert.equal(code, 201);
  return body as Bootstrap;
}

export function endpointOf({ api, token, roots }: Bootstrap): Endpoint {
  return { kind: "https", url: api, token: new Secret(token), roots };
}

export interface NodeClient {
  readonly bootstrap: Bootstrap;
  readonly transport: HttpTransport;
  readonly client: ObjectClient;
}

export async function nodeClient(admin: HttpTransport, node: string): Promise<NodeClient> {
  const bootstrap = await issueToken(admin, node);
  const transport = httpTransport(endpointOf(bootstrap));
  return { bootstrap, transport, client: clientOver(transport) };
}
