import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { firstPlacement } from "./first-placement.ts";

describe("the first placement", () => {
  test("gives each node a place of its own, callers before those they call, cycles or not", () => {
    const nodes = ["a", "b", "c", "d", "alone"];
    const edges = [
      ["a", "b"],
      ["b", "c"],
      ["c", "b"],
      ["c", "d"],
    ].map(([source = "", destination = ""]) => ({ id: source + destination, source, destination }));
    const { nodes: places } = firstPlacement({ nodes, edges }, "RIGHT");
    assert.equal(new Set([...places.values()].map(({ x, y }) => `${x} ${y}`)).size, nodes.length);
    const columns = ["a", "b", "c", "d"].map((id) => places.get(id)?.x ?? Number.NaN);
    assert.deepEqual(
      columns,
      columns.toSorted((a, b) => a - b),
    );
  });
});
