/** h1spec's cases, asked of a sidecar with an application behind it. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { Harness, type RawClient, request } from "../testing/harness.ts";
import { inbound, labels } from "../testing/mesh.ts";
import { createMeshCa } from "../testing/mesh-ca.ts";

interface Case {
  readonly request: string;
  readonly description: string;
  readonly expectedStatus: readonly (readonly [least: number, most: number])[];
  readonly expectedBody?: string;
  /** The request is not complete: nothing may be answered yet. */
  readonly expectedTimeout?: boolean;
}

const table = new URL("../../../../shared/conformance/h1spec/cases.json", import.meta.url);
/** What their incomplete requests are the beginning of. */
const whole = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

describe("the h1spec table", {
  skip: existsSync(table) ? false : "the conformance tables are absent",
}, () => {
  test("holds", async (context) => {
    await using harness = new Harness();
    const app = await harness.app((req, res) => req.pipe(res));
    const port = await declaredHttp(harness, app);
    const cases = JSON.parse(readFileSync(table, "utf8")) as readonly Case[];
    const failures: string[] = [];
    for (const one of cases) {
      const client = await harness.raw(port);
      client.send(one.request);
      const problem =
        one.expectedTimeout === true
          ? await answersTooEarly(client, one, port)
          : await answersWrongly(client, one);
      if (problem !== undefined) failures.push(`${one.description}: ${problem}`);
      client.socket.destroy();
    }
    context.diagnostic(`h1spec: ${cases.length - failures.length} of ${cases.length} hold`);
    assert.deepEqual(failures, []);
    assert.equal(cases.length, 33);
  });
});

/**
 * A sidecar's port that is said to be HTTP's. Where HTTP is detected instead, a wrong beginning is another protocol's,
 * and goes to where it was going.
 */
async function declaredHttp(harness: Harness, app: number): Promise<number> {
  const ca = await createMeshCa();
  const sidecar = await harness.sidecar(
    { workload: labels("shop", "cart"), destination: () => ({ address: "127.0.0.1", port: app }) },
    inbound(app),
    { secrets: await ca.secrets("spiffe://cluster.local/ns/shop/sa/cart") },
  );
  return sidecar.portOf("virtualInbound") ?? 0;
}

async function answersTooEarly(
  client: RawClient,
  one: Case,
  port: number,
): Promise<string | undefined> {
  assert(whole.startsWith(one.request), `${one.description} is another request's beginning`);
  // The sidecar has read what was sent before it, once it has answered this.
  await request(port);
  if (client.text !== "" || client.hasEnded) return `answered ${JSON.stringify(client.text)}`;
  client.send(whole.slice(one.request.length));
  const text = await client.until((text) => text.includes("\r\n\r\n"));
  return statusOf(text) === 200 ? undefined : `completed, it is answered ${JSON.stringify(text)}`;
}

async function answersWrongly(client: RawClient, one: Case): Promise<string | undefined> {
  const isAnswer = (text: string) => text.includes("\r\n\r\n");
  const text = await client.until(
    (text) => isAnswer(text) && (one.expectedBody === undefined || isWhole(text)),
  );
  const status = statusOf(text);
  if (!one.expectedStatus.some(([least, most]) => status >= least && status <= most)) {
    return `answered ${JSON.stringify(text)}`;
  }
  const isRefused = status >= 400;
  const hasBody = one.expectedBody === undefined || text.includes(one.expectedBody);
  return isRefused || hasBody ? undefined : `without its body: ${JSON.stringify(text)}`;
}

function isWhole(text: string): boolean {
  return text.endsWith("\r\n0\r\n\r\n") || statusOf(text) >= 400;
}

function statusOf(text: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? -1);
}
