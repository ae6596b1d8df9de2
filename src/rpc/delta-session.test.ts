import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DeltaRequest, DeltaResponse } from "../wire/xds/discovery.ts";
import type { EncodedResource, XdsResources } from "../wire/xds/resources.ts";
import { groupByType, shortType, typeUrls } from "../wire/xds/resources.ts";
import { DeltaSession } from "./delta-session.ts";

const { cluster, endpoints, listener, route, snapshot } = typeUrls;

/** `world({ [cluster]: { a: "1" } })`: resources with their versions. */
function world(types: Readonly<Record<string, Readonly<Record<string, string>>>>): XdsResources {
  return groupByType(
    Object.entries(types).flatMap(([typeUrl, named]) =>
      Object.entries(named).map(
        ([name, version]): EncodedResource => ({
          typeUrl,
          name,
          version,
          bytes: new Uint8Array(),
        }),
      ),
    ),
  );
}

class Client {
  readonly session: DeltaSession;
  #inbox: DeltaResponse[] = [];
  #unanswered: DeltaResponse[] = [];

  constructor() {
    this.session = new DeltaSession({
      types: [cluster, endpoints, listener, route],
      send: (response) => this.#inbox.push(response),
    });
  }

  send(request: Partial<DeltaRequest> & { readonly typeUrl: string }): void {
    this.session.request({
      subscribe: [],
      unsubscribe: [],
      initialVersions: {},
      nonce: "",
      ...request,
    });
  }

  /** What came since the last call, as text. */
  received(): string[] {
    return this.take().map(
      ({ typeUrl, resources, removed }) =>
        `${shortType(typeUrl)}${resources.map(({ name }) => ` +${name}`).join("")}${removed.map((name) => ` -${name}`).join("")}`,
    );
  }

  take(): DeltaResponse[] {
    const taken = this.#inbox.splice(0);
    this.#unanswered.push(...taken);
    return taken;
  }

  /** Acknowledges all that came, read or not. */
  ackAll(): void {
    this.take();
    for (const { typeUrl, nonce } of this.#unanswered.splice(0)) this.send({ typeUrl, nonce });
  }
}

function snapshotClient(): Client {
  const client = new Client();
  for (const typeUrl of [cluster, endpoints, listener, route, snapshot]) {
    client.send({ typeUrl, subscribe: ["*"] });
  }
  return client;
}

describe("a delta session", () => {
  test("answers subscriptions from the offer, and with nothing where nothing is there", () => {
    const client = new Client();
    client.session.offer(1, world({ [cluster]: { a: "1", b: "1" } }));
    client.send({ typeUrl: cluster, subscribe: ["*"] });
    client.send({ typeUrl: listener, subscribe: ["*"] });
    assert.deepEqual(client.received(), ["Cluster +a +b", "Listener"]);
  });

  test("takes a first request without names for everything, as older clients mean it", () => {
    const client = new Client();
    client.session.offer(1, world({ [cluster]: { a: "1" } }));
    client.send({ typeUrl: cluster });
    assert.deepEqual(client.received(), ["Cluster +a"]);
  });

  test("sends only what changed, make before break, then the mark", () => {
    const client = snapshotClient();
    client.session.offer(
      1,
      world({ [cluster]: { a: "1", b: "1" }, [route]: { r: "1" }, [listener]: { l: "1" } }),
    );
    assert.deepEqual(client.received(), [
      "Cluster +a +b",
      "Listener +l",
      "RouteConfiguration +r",
      "ClusterLoadAssignment",
      "Snapshot +snapshot",
    ]);
  });

  test("removes in the opposite order, after everything new is there", () => {
    const client = snapshotClient();
    client.session.offer(1, world({ [cluster]: { a: "1" }, [route]: { r: "1" } }));
    client.ackAll();
    client.session.offer(2, world({ [cluster]: { b: "1" }, [route]: { s: "1" } }));
    assert.deepEqual(client.received(), [
      "Cluster +b",
      "RouteConfiguration +s",
      "RouteConfiguration -r",
      "Cluster -a",
      "Snapshot +snapshot",
    ]);
  });

  test("has one round under way and goes on with the newest offer, skipping those between", () => {
    const client = snapshotClient();
    client.session.offer(1, world({ [cluster]: { a: "1" } }));
    const first = client.take();
    client.session.offer(2, world({ [cluster]: { a: "2" } }));
    client.session.offer(3, world({ [cluster]: { a: "3" } }));
    assert.deepEqual(client.take(), []);
    for (const { typeUrl, nonce } of first) client.send({ typeUrl, nonce });
    const next = client.take();
    assert.deepEqual(
      next.flatMap(({ resources }) => resources.map(({ name, version }) => `${name} ${version}`)),
      ["a 3", "snapshot 3"],
    );
  });

  test("counts a version as settled when every response of its round is answered", () => {
    const client = snapshotClient();
    client.session.offer(7, world({ [cluster]: { a: "1" } }));
    assert.equal(client.session.status.settled, undefined);
    client.ackAll();
    assert.deepEqual(client.session.status, { sent: 7, settled: 7, acked: 7 });
  });

  test("settles at once, sending nothing, where a world changes nothing for the client", () => {
    const client = snapshotClient();
    client.session.offer(1, world({ [cluster]: { a: "1" } }));
    client.ackAll();
    client.session.offer(2, world({ [cluster]: { a: "1" } }));
    assert.deepEqual(client.take(), []);
    assert.equal(client.session.status.acked, 2);
  });

  test("keeps the reason of a refusal, does not send the refused again, and is clear after the next good round", () => {
    const client = snapshotClient();
    client.session.offer(1, world({ [cluster]: { a: "1" } }));
    client.ackAll();
    client.session.offer(2, world({ [cluster]: { a: "2" } }));
    for (const { typeUrl, nonce } of client.take()) {
      client.send({ typeUrl, nonce, ...(typeUrl === snapshot ? { error: "Cluster a: no" } : {}) });
    }
    const refused = { sent: 2, settled: 2, acked: 1 };
    assert.deepEqual(client.session.status, {
      ...refused,
      rejected: { version: 2, error: "Cluster a: no" },
    });
    client.session.offer(3, world({ [cluster]: { a: "2" } }));
    assert.deepEqual(client.take(), []);
    assert.equal(client.session.status.rejected?.error, "Cluster a: no");
    assert.equal(client.session.status.acked, 1);
    client.session.offer(4, world({ [cluster]: { a: "4" } }));
    client.ackAll();
    assert.deepEqual(client.session.status, { sent: 4, settled: 4, acked: 4 });
  });

  test("names the type in a standard client's refusal", () => {
    const client = new Client();
    client.send({ typeUrl: cluster, subscribe: ["*"] });
    client.session.offer(1, world({ [cluster]: { a: "1" } }));
    const [response] = client.take();
    client.send({ typeUrl: cluster, nonce: response?.nonce ?? "", error: "bad" });
    assert.deepEqual(client.session.status.rejected, { version: 1, error: "Cluster: bad" });
  });

  test("sends a reconnecting client what differs and removes what is gone", () => {
    const client = new Client();
    client.session.offer(5, world({ [cluster]: { a: "1", b: "2" } }));
    const initialVersions = { a: "1", b: "1", c: "1" };
    client.send({ typeUrl: cluster, subscribe: ["*"], initialVersions });
    assert.deepEqual(client.received(), ["Cluster +b", "Cluster -c"]);
  });

  test("follows names as Envoy asks for them, a few more each time", () => {
    const client = new Client();
    client.session.offer(1, world({ [endpoints]: { a: "1", b: "1", c: "1" } }));
    client.send({ typeUrl: endpoints, subscribe: ["a"] });
    client.send({ typeUrl: endpoints, subscribe: ["b"] });
    assert.deepEqual(client.received(), ["ClusterLoadAssignment +a", "ClusterLoadAssignment +b"]);
  });

  test("tells that a named resource is not there, and sends it when it comes", () => {
    const client = new Client();
    client.session.offer(1, world({}));
    client.send({ typeUrl: endpoints, subscribe: ["a"] });
    assert.deepEqual(client.received(), ["ClusterLoadAssignment -a"]);
    client.ackAll();
    client.session.offer(2, world({ [endpoints]: { a: "1" } }));
    assert.deepEqual(client.received(), ["ClusterLoadAssignment +a"]);
  });

  test("stops sending what was unsubscribed", () => {
    const client = new Client();
    client.session.offer(1, world({ [endpoints]: { a: "1", b: "1" } }));
    client.send({ typeUrl: endpoints, subscribe: ["a", "b"] });
    client.ackAll();
    client.send({ typeUrl: endpoints, unsubscribe: ["a"] });
    client.session.offer(2, world({ [endpoints]: { a: "2", b: "2" } }));
    assert.deepEqual(client.received(), ["ClusterLoadAssignment +b"]);
  });

  test("sends everything again after the wildcard was dropped and asked for again", () => {
    const client = new Client();
    client.session.offer(1, world({ [cluster]: { a: "1" } }));
    client.send({ typeUrl: cluster, subscribe: ["*"] });
    client.ackAll();
    client.send({ typeUrl: cluster, unsubscribe: ["*"] });
    client.send({ typeUrl: cluster, subscribe: ["*"] });
    assert.deepEqual(client.received(), ["Cluster +a"]);
  });

  test("sends the endpoints of a changed cluster again to clients that warm it", () => {
    const client = new Client();
    const first = { [cluster]: { a: "1" }, [endpoints]: { a: "1" } };
    client.session.offer(1, world(first));
    client.send({ typeUrl: cluster, subscribe: ["*"] });
    client.send({ typeUrl: endpoints, subscribe: ["a"] });
    client.ackAll();
    client.session.offer(2, world({ ...first, [cluster]: { a: "2" } }));
    assert.deepEqual(client.received(), ["Cluster +a", "ClusterLoadAssignment +a"]);
  });

  test("ignores an answer to a response that it does not wait for", () => {
    const client = snapshotClient();
    client.session.offer(1, world({ [cluster]: { a: "1" } }));
    client.send({ typeUrl: cluster, nonce: "never-sent", error: "old" });
    client.ackAll();
    assert.equal(client.session.status.acked, 1);
  });
});
