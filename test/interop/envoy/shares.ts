/**
 * How many of so many requests each endpoint of a cluster gets, through either proxy: none of those that the proxy
 * answers itself. Requests go one after the other:
 * a next one leaves when the one before is answered, or, where they are held, when it has reached an endpoint and stays
 * there until all are. So neither proxy ever guesses what is under way.
 */

import { once } from "node:events";
import { request, type ServerResponse } from "node:http";
import type { Harness } from "../../../src/proxy/testing/harness.ts";

export interface Answerers {
  readonly ports: readonly number[];
  /** Of endpoints in their order. */
  shares(port: number, host: string, sending: Sending): Promise<readonly number[]>;
}

export interface Sending {
  readonly requests: number;
  /** All of them stay under way until the last one is there. */
  readonly held?: true;
  /** Of each request; a line `x-key` is what routes of this test hash. */
  readonly headers?: Readonly<Record<string, string>>;
}

export async function startAnswerers(harness: Harness, count: number): Promise<Answerers> {
  let got: number[] = [];
  let held: ServerResponse[] = [];
  let arrived = () => {};
  const ports: number[] = [];
  for (let index = 0; index < count; index++) {
    const port = await harness.app((incoming, response) => {
      got[index] = (got[index] ?? 0) + 1;
      if (incoming.headers["x-held"] === undefined) response.end();
      else held.push(response);
      arrived();
    });
    ports.push(port);
  }

  async function shares(port: number, host: string, sending: Sending): Promise<readonly number[]> {
    got = Array.from({ length: count }, () => 0);
    held = [];
    const underWay: Promise<void>[] = [];
    for (let i = 0; i < sending.requests; i++) {
      const hasArrived = new Promise<void>((resolve) => {
        arrived = resolve;
      });
      const answered = sendOne(port, host, sending);
      // An answer that did not come from an endpoint must not be waited for.
      await (sending.held ? Promise.race([hasArrived, answered]) : answered);
      underWay.push(answered);
    }
    for (const response of held) response.end();
    await Promise.all(underWay);
    return got;
  }

  return { ports, shares };
}

async function sendOne(port: number, host: string, { held, headers }: Sending): Promise<void> {
  const sent = request({
    port,
    host: "127.0.0.1",
    agent: false,
    headers: { host, ...(held ? { "x-held": "1" } : {}), ...headers },
  });
  sent.end();
  const [response] = await once(sent, "response");
  response.resume();
  await once(response, "end");
}
