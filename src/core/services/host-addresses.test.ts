import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ServiceEntry, ServiceEntrySpec } from "../../api/istio/service-entry.ts";
import { cidrContains } from "../../base/ip.ts";
import { hostAddressRange, hostAddressStatuses } from "./host-addresses.ts";

function entry(
  name: string,
  spec: Partial<ServiceEntrySpec> = {},
  status?: ServiceEntry["status"],
): ServiceEntry {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: { namespace: "shop", name },
    spec: { hosts: [`${name}.example`], resolution: "DNS", ...spec },
    ...(status === undefined ? {} : { status }),
  };
}

/** By host, over all entries. */
function given(...entries: readonly ServiceEntry[]): Readonly<Record<string, string>> {
  const all = hostAddressStatuses(entries).flatMap(([, { addresses = [] }]) => addresses);
  return Object.fromEntries(all.map(({ host, value }) => [host ?? "", value]));
}

/** The entries as they are once their statuses are written. */
function written(...entries: readonly ServiceEntry[]): readonly ServiceEntry[] {
  const statuses = new Map(hostAddressStatuses(entries));
  return entries.map((one) => {
    const status = statuses.get(one);
    return status === undefined ? one : { ...one, status };
  });
}

describe("addresses of hosts without any", () => {
  test("are different for each host, and of the range", () => {
    const many = Array.from({ length: 400 }, (_, n) =>
      entry(`e${n}`, { hosts: [`a${n}`, `b${n}`] }),
    );
    const addresses = Object.values(given(...many));
    assert.equal(new Set(addresses).size, 800);
    assert.ok(addresses.every((address) => cidrContains(hostAddressRange, address)));
  });

  test("stay whatever comes, and are given to nobody else while they are held", () => {
    const [first] = written(entry("b"));
    assert.ok(first !== undefined);
    const mine = given(first)["b.example"];
    const rival = entry("a", {}, first.status); // claims it, for a host that it does not have
    const wishes = entry("c", { addresses: [mine ?? ""] });
    assert.equal(given(rival, first)["b.example"], mine);
    assert.notEqual(given(rival, first)["a.example"], mine);
    assert.notEqual(given(first, wishes)["b.example"], mine); // a written address goes before
    assert.deepEqual(written(...written(entry("a"), entry("b"))), written(entry("a"), entry("b")));
  });

  test("are taken back where the entry has its own by now", () => {
    const [had] = written(entry("a"));
    const now = entry("a", { addresses: ["192.0.2.1"] }, had?.status);
    assert.deepEqual(
      hostAddressStatuses([now]).map(([, status]) => status),
      [{}],
    );
  });

  const none: readonly (readonly [string, ServiceEntry])[] = [
    ["go where the application wants to go", entry("a", { resolution: "NONE" })],
    ["are wildcards", entry("a", { hosts: ["*.example"], endpoints: [{ address: "b.example" }] })],
    ["have addresses", entry("a", { addresses: ["192.0.2.1"] })],
    [
      "asked for none",
      {
        ...entry("a"),
        metadata: {
          namespace: "shop",
          name: "a",
          labels: { "networking.istio.io/enable-autoallocate-ip": "false" },
        },
      },
    ],
  ];
  for (const [title, one] of none) {
    test(`are not given to hosts that ${title}`, () => assert.deepEqual(given(one), {}));
  }
});
