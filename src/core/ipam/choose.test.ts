/** Blocks and addresses: nobody gets what somebody has, and everything is given before anything is refused. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import { blockName } from "../../api/heddle/block-name.ts";
import { cidrContains, parseCidr, renderCidr } from "../../base/ip.ts";
import { chooseAddress, chooseBlock } from "./choose.ts";

describe("choosing a block", () => {
  const network = parseCidr("10.244.0.0/24");

  test("gives every block of the network once, wherever the search begins, and then none", () => {
    for (const seed of [undefined, "node-1", "node-2"]) {
      const taken = new Set<string>();
      for (let step = 0; step < 4; step++) {
        const block = chooseBlock(network, 26, taken, seed);
        assert.ok(block !== undefined && cidrContains(network, block.address));
        assert.ok(!taken.has(renderCidr(block)));
        taken.add(renderCidr(block));
      }
      assert.equal(chooseBlock(network, 26, taken, seed), undefined);
    }
  });

  test("overlaps no block that was taken with another length, nor minds those of other networks", () => {
    const taken = new Set(["10.244.0.0/25", "10.244.0.130/32", "10.9.0.0/26"]);
    const block = chooseBlock(network, 26, taken);
    assert.deepEqual(block, parseCidr("10.244.0.192/26"));
    assert.equal(chooseBlock(network, 26, new Set(["10.0.0.0/8"])), undefined);
  });

  test("finds none in a network that is smaller than a block", () => {
    assert.equal(chooseBlock(parseCidr("10.0.0.0/28"), 26, new Set()), undefined);
  });

  test("names a block so that creating the object is taking it", () => {
    assert.equal(blockName(parseCidr("10.244.0.64/26")), "10.244.0.64-26");
    assert.equal(
      blockName(parseCidr("fd00::40/122")),
      "fd00-0000-0000-0000-0000-0000-0000-0040-122",
    );
  });
});

describe("choosing an address", () => {
  const blocks = [parseCidr("10.244.0.0/30"), parseCidr("10.244.0.64/30")];

  test("gives each address of each block, first and last included, before it gives none", () => {
    const used = new Set<string>();
    for (let step = 0; step < 8; step++) {
      const address = chooseAddress(blocks, used, []);
      assert.ok(address !== undefined && !used.has(address));
      used.add(address);
    }
    assert.ok(used.has("10.244.0.0") && used.has("10.244.0.67"));
    assert.equal(chooseAddress(blocks, used, []), undefined);
  });

  test("never gives one that is in use or cooling down", () => {
    const all = [0, 1, 2, 3, 64, 65, 66, 67].map((last) => `10.244.0.${last}`);
    fc.assert(
      fc.property(fc.subarray(all), fc.subarray(all), (inUse, cooling) => {
        const address = chooseAddress(blocks, new Set(inUse), cooling);
        const free = all.filter((each) => !inUse.includes(each) && !cooling.includes(each));
        assert.equal(address, free[0]);
      }),
      { seed: 3 },
    );
  });
});
