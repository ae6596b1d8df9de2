/** Endpoints that names lead to. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Endpoint } from "../../../model/proxy-config.ts";
import { silentLog } from "../../testing/mesh.ts";
import { NamedMembers } from "./members.ts";
import { Names } from "./names.ts";

const endpoint = (address: string, more: Partial<Endpoint> = {}): Endpoint => ({
  address,
  port: 80,
  weight: 1,
  tls: false,
  ...more,
});

describe("an endpoint that a name leads to", () => {
  test("keeps the name for consistent hashing, or the one that it is given", async (t) => {
    const addresses = new Map([
      ["a.example", ["192.0.2.1", "192.0.2.2"]],
      ["b.example", ["192.0.2.3"]],
    ]);
    const lookUp = async (name: string) => ({
      addresses: addresses.get(name) ?? [],
      ttlMs: 60_000,
    });
    const names = new Names({ lookUp, random: () => 0, log: silentLog });
    t.after(() => names.stop());
    const known = Promise.withResolvers<void>();
    const discovery = {
      kind: "dns",
      uses: "every",
      endpoints: [endpoint("a.example"), endpoint("b.example", { hostname: "own" })],
    } as const;
    const members = new NamedMembers(names, () => {
      if (members.endpoints(discovery).length === 3) known.resolve();
    });
    members.follow(discovery);
    await known.promise;
    assert.deepEqual(
      members.endpoints(discovery).map(({ address, hostname }) => [address, hostname]),
      [
        ["192.0.2.1", "a.example"],
        ["192.0.2.2", "a.example"],
        ["192.0.2.3", "own"],
      ],
    );
    members.stop();
  });
});
