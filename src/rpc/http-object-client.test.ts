import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { httpObjectClient } from "./http-object-client.ts";
import type { HttpTransport } from "./http-transport.ts";
import type { ApiObject } from "./object-client.ts";

/** A server that answers the n-th watch with the n-th list of lines, and then hangs up; `asked` gets their paths. */
function watched(answers: readonly (readonly object[])[], asked: string[]): HttpTransport {
  return {
    send: () => assert.fail("a watch sends nothing"),
    async *lines({ path }) {
      asked.push(path);
      yield* (answers[asked.length - 1] ?? []).map((line) => JSON.stringify(line));
    },
    close() {},
  };
}

const added = (name: string, resourceVersion: string) => ({
  type: "ADDED",
  object: { apiVersion: "v1", kind: "Pod", metadata: { name, resourceVersion } },
});

const bookmark = (resourceVersion: string, annotations?: Readonly<Record<string, string>>) => ({
  type: "BOOKMARK",
  object: { kind: "Pod", metadata: { resourceVersion, annotations } },
});

const end = { "k8s.io/initial-events-end": "true" };

/** What a watch gives until it has given `count` things, and what it asked the server. */
async function watch(answers: readonly (readonly object[])[], count: number) {
  const asked: string[] = [];
  const client = httpObjectClient({
    transport: watched(answers, asked),
    pathOf: () => "/api/v1/pods",
    clock: { now: () => 0, sleep: async () => {} },
    random: () => 0,
  });
  const given: string[] = [];
  const stop = new AbortController();
  for await (const event of client.watch<ApiObject>("Pod", stop.signal)) {
    const objects = event.type === "synced" ? event.objects : [event.object];
    given.push(`${event.type} ${objects.map(({ metadata }) => metadata.name)}`);
    if (given.length === count) stop.abort();
  }
  const versions = asked.map((path) =>
    new URL(path, "http://x").searchParams.get("resourceVersion"),
  );
  return { given, versions };
}

describe("a watch", () => {
  test("that breaks goes on after the last version it saw", async () => {
    const { given, versions } = await watch(
      [[added("a", "3"), bookmark("4", end), added("b", "5")], [added("c", "6")]],
      3,
    );
    assert.deepEqual(given, ["synced a", "added b", "added c"]);
    assert.deepEqual(versions, [null, "5"]);
  });

  test("that breaks amid the first picture, after a bookmark, asks for the whole picture again", async () => {
    const { given, versions } = await watch(
      [
        [added("a", "3"), bookmark("4")],
        [added("a", "3"), added("b", "4"), bookmark("4", end)],
      ],
      1,
    );
    assert.deepEqual(given, ["synced a,b"]);
    assert.deepEqual(versions, [null, null]);
  });
});
