import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HttpTransport } from "../rpc/http-transport.ts";
import { untilConverged } from "./converge.ts";

/** A server that gives one answer to whatever it is asked. */
function answering(body: unknown, code = 200): HttpTransport {
  return {
    send: async () => ({ code, body, warnings: [] }),
    lines: () => assert.fail("nobody watches here"),
    close() {},
  };
}

const sidecar = "sidecar~10.244.0.5~web.shop~shop.svc.cluster.local";

describe("waiting for a change", () => {
  test("ends when everybody connected has taken it", async () => {
    await untilConverged(answering({ converged: true, waiting: [], rejected: [] }), 7);
  });

  test("names who refused it, and why, though everybody has answered", async () => {
    const rejected = [{ id: sidecar, version: 7, error: "route 80: compile regular expression" }];
    await assert.rejects(untilConverged(answering({ converged: true, waiting: [], rejected }), 7), {
      code: "cli.converge.refused",
      message: `the change is stored, but 1 of those connected refused it and went on as before: ${sidecar}: route 80: compile regular expression`,
    });
  });

  test("names whom it waited for when the time is up", async () => {
    const late = { converged: false, waiting: ["agent~node-2"], rejected: [] };
    await assert.rejects(untilConverged(answering(late), 7), {
      code: "cli.converge",
      message: "after 10 s not everybody has taken the change: waiting for agent~node-2",
      retryable: true,
    });
  });

  test("says what the server answered instead", async () => {
    await assert.rejects(untilConverged(answering({ kind: "Status" }, 403), undefined), {
      message: "wait for the change to be in force: the server answered 403",
    });
  });
});
