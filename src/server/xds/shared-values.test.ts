import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SharedValues } from "./shared-values.ts";

const listener = (port: number) => ({ name: "virtualInbound", ports: [port] });

describe("shared values", () => {
  test("are one object for equal content, from client to client and from world to world", () => {
    const values = new SharedValues();
    const first = values.share(listener(80));
    assert.equal(values.share(listener(80)), first);
    assert.notEqual(values.share(listener(81)), first);
    values.turn();
    assert.equal(values.share(listener(80)), first);
  });

  test("are forgotten when nobody has had them for a world", () => {
    const values = new SharedValues();
    const first = values.share(listener(80));
    values.turn();
    values.turn();
    assert.notEqual(values.share(listener(80)), first);
  });

  test("are looked through once for a list that many have", () => {
    const values = new SharedValues();
    const first = values.share(listener(80));
    let reads = 0;
    const watched = new Proxy([listener(80), listener(81)], {
      get: (list, key, receiver) => {
        if (key === "0") reads++;
        return Reflect.get(list, key, receiver);
      },
    });
    const shared = values.shareAll(watched);
    assert.equal(shared[0], first);
    for (let client = 0; client < 100; client++) assert.equal(values.shareAll(watched), shared);
    assert.equal(reads, 1);
    values.turn();
    assert.notEqual(values.shareAll(watched), shared);
    assert.deepEqual(values.shareAll(watched), shared);
  });

  test("of a thousand sidecars are compared with their like alone, where each was with every other's", () => {
    const values = new SharedValues();
    let reads = 0;
    const watched = (port: number) =>
      new Proxy(listener(port), {
        get: (value, key, receiver) => {
          if (key === "name") reads++;
          return Reflect.get(value, key, receiver);
        },
      });
    const count = 1_000;
    for (let port = 0; port < count; port++) values.share(watched(port));
    values.turn();
    for (let port = 0; port < count; port++) values.share(watched(port));
    assert.ok(reads <= 5 * count, `${reads} reads`);
  });
});
