import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseAllDocuments } from "yaml";
import type { Resource } from "../../api/resource.ts";
import { renderCidr } from "../../base/ip.ts";
import type { WireguardSpec } from "../../model/node-state.ts";
import type { NodeView } from "../../model/node-view.ts";
import { viewFor } from "../registry/view.ts";
import { worldOf } from "../registry/world.ts";
import { overlayFor } from "./overlay.ts";
import { waysFrom } from "./ways.ts";

const keys = ["A", "E", "I"].map((last) => `${"k".repeat(42)}${last}=`);

interface TestNode {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly key?: string | undefined;
  readonly created?: string;
}

const one = { name: "one", addresses: ["192.0.2.1"], key: keys[0] };
const two = { name: "two", addresses: ["192.0.2.2", "2001:db8::2"], key: keys[1] };

/** Node `one`'s view of nodes that hold a block of each family. */
function view(nodes: readonly TestNode[], network = "", name = "one"): NodeView {
  const documents = [
    `
apiVersion: heddle.dev/v1
kind: Network
metadata: { name: default }
spec: { podCidr: 10.244.0.0/16, blockPrefixLength: 26, serviceCidr: 10.96.0.0/16, encap: wireguard${network} }
---
apiVersion: heddle.dev/v1
kind: AddressPool
metadata: { name: six }
spec: { cidr: "fd00:244::/64" }
`,
    ...nodes.map(
      ({ name: node, addresses, key, created }, index) => `
apiVersion: v1
kind: Node
metadata: { name: ${node}, ${created === undefined ? "" : `creationTimestamp: "${created}",`} annotations: { ${key === undefined ? "" : `heddle.dev/wireguard-key: "${key}"`} } }
status: { addresses: [${addresses.map((each) => `{ type: InternalIP, address: "${each}" }`)}] }
---
apiVersion: heddle.dev/v1
kind: AddressBlock
metadata: { name: four-${node} }
spec: { cidr: 10.244.0.${64 * index}/26, node: ${node} }
---
apiVersion: heddle.dev/v1
kind: AddressBlock
metadata: { name: six-${node} }
spec: { cidr: "fd00:244::${(64 * index).toString(16)}/122", node: ${node} }
`,
    ),
  ];
  const objects = parseAllDocuments(documents.join("---")).map((each) => each.toJS() as Resource);
  return viewFor(worldOf(objects), name);
}

function deviceOf(seen: NodeView): WireguardSpec | undefined {
  return overlayFor(seen, true).links.find((link) => link.kind === "wireguard");
}

function waysTo(seen: NodeView, canEncrypt = true): readonly string[] {
  const { routes } = overlayFor(seen, canEncrypt);
  return routes
    .filter(({ table }) => table === undefined)
    .map(({ destination, link, via, blackhole }) =>
      [renderCidr(destination), blackhole ? "blackhole" : `dev ${link}`, via].join(" ").trim(),
    );
}

describe("the encrypted overlay", () => {
  test("is one device that knows each other node by its key, blocks and addresses", () => {
    const seen = view([one, two]);
    const peer = seen.nodes.find(({ name }) => name === "two");
    assert.match(peer?.vtepMac ?? "", /^06:/);
    const { links, addresses, neighbours, forwarding } = overlayFor(seen, true);
    const linkLocal = addresses.find(({ address }) => address.startsWith("fe80"))?.address;
    const [, theirs] = view([one, two], "", "two").nodes;
    assert.equal(theirs?.wireguardKey, keys[1]);
    const own = overlayFor(view([one, two], "", "two"), true).addresses;
    assert.deepEqual(links, [
      {
        kind: "wireguard",
        name: "hdwg",
        mtu: 1440,
        port: 51871,
        hasNodeKey: true,
        looseSources: true,
        peers: [
          {
            publicKey: keys[1],
            endpoint: "192.0.2.2:51871",
            allowed: [
              "10.244.0.64/26",
              "192.0.2.2/32",
              "2001:db8::2/128",
              "fd00:244::40/122",
              `${own.find(({ address }) => address.startsWith("fe80"))?.address}/128`,
            ],
          },
        ],
      },
    ]);
    assert.deepEqual(addresses, [
      { link: "hdwg", address: "192.0.2.1", prefixLength: 32 },
      { link: "hdwg", address: linkLocal, prefixLength: 64 },
    ]);
    assert.deepEqual([neighbours, forwarding], [[], []]);
    assert.deepEqual(waysTo(seen), [
      "10.244.0.0/26 blackhole",
      "fd00:244::/122 blackhole",
      "10.244.0.64/26 dev hdwg",
      "fd00:244::40/122 dev hdwg",
    ]);
  });

  test("carries both families over an underlay of IPv6, with what its head costs", () => {
    const six = { ...one, addresses: ["2001:db8::1"] };
    const { peers = [], mtu } = deviceOf(view([six, two])) ?? {};
    assert.deepEqual([peers.map(({ endpoint }) => endpoint), mtu], [["[2001:db8::2]:51871"], 1420]);
    assert.ok(waysTo(view([six, two])).includes("10.244.0.64/26 dev hdwg"));
  });

  test("is at the port that the Network says", () => {
    const device = deviceOf(view([one, two], ", wireguardPort: 51820"));
    assert.deepEqual([device?.port, device?.peers[0]?.endpoint], [51820, "192.0.2.2:51820"]);
  });

  test("leads nowhere in place of a node that has no key, and says so", () => {
    for (const key of [undefined, "short", `${"k".repeat(42)}B=`]) {
      const seen = view([one, { ...two, key }]);
      assert.deepEqual(deviceOf(seen)?.peers, []);
      assert.ok(waysTo(seen).every((way) => way.endsWith("blackhole")));
      assert.deepEqual(
        overlayFor(seen, true).diagnostics.map(({ code, where }) => [code, where]),
        [
          ["HEDDLE0304", "Node two"],
          ["HEDDLE0304", "Node two"],
        ],
      );
      assert.match(overlayFor(seen, true).diagnostics[0]?.message ?? "", /no WireGuard key/);
    }
  });

  test("speaks to neither of two nodes that show the same key", () => {
    const three = { name: "three", addresses: ["192.0.2.3"], key: keys[1] };
    const seen = view([one, two, three]);
    assert.deepEqual(deviceOf(seen)?.peers, []);
    assert.match(
      overlayFor(seen, true).diagnostics[0]?.message ?? "",
      /nodes (two and three|three and two) have the same WireGuard key/,
    );
    assert.deepEqual(deviceOf(view([one, { ...two, key: keys[0] }]))?.peers, []);
  });

  test("gives an address that two Node objects show to one key, that of the newer", () => {
    const old = { ...two, created: "2026-01-01T00:00:00Z" };
    const renamed = { ...old, name: "newer", key: keys[2], created: "2026-02-01T00:00:00Z" };
    for (const nodes of [
      [one, old, renamed],
      [one, { ...renamed, name: "zwei" }, old],
    ]) {
      const seen = view(nodes);
      const holders = deviceOf(seen)?.peers.filter(({ allowed }) =>
        allowed.includes("192.0.2.2/32"),
      );
      assert.deepEqual(
        holders?.map(({ publicKey }) => publicKey),
        [keys[2]],
      );
      assert.match(
        overlayFor(seen, true)
          .diagnostics.map(({ code, where, message }) => `${code} ${where}: ${message}`)
          .join("\n"),
        /^HEDDLE0306 Node two: address 192\.0\.2\.2 is taken for that of node (newer|zwei), .*\nHEDDLE0306 Node two: address 2001:db8::2 /,
      );
    }
  });

  test("keeps this node's own address from whoever else shows it", () => {
    const impostor = { ...two, addresses: ["192.0.2.1"], created: "2026-02-01T00:00:00Z" };
    const [peer] = deviceOf(view([one, impostor]))?.peers ?? [];
    assert.equal(peer?.allowed.includes("192.0.2.1/32"), false);
  });

  test("has pods reach other nodes' own addresses by a table of theirs, of the families that pods have", () => {
    const { rules, routes, encryptedNodes } = overlayFor(
      view([one, two, { ...one, name: "three", addresses: ["192.0.2.3"], key: keys[2] }]),
      true,
    );
    assert.deepEqual(
      rules.map(({ source, table }) => [renderCidr(source), table]),
      [
        ["10.244.0.0/16", 0x4844],
        ["fd00:244::/64", 0x4844],
      ],
    );
    const own = routes.filter(({ table }) => table === 0x4844);
    assert.deepEqual(
      own.map(({ destination, link }) => [renderCidr(destination), link]),
      [
        ["192.0.2.3/32", "hdwg"],
        ["192.0.2.2/32", "hdwg"],
        ["2001:db8::2/128", "hdwg"],
      ],
    );
    // Where those routes are gone with their device, the table drops what would go by others.
    assert.deepEqual(encryptedNodes, ["192.0.2.3", "192.0.2.2", "2001:db8::2"]);
    const without = overlayFor(view([one, two]), false);
    assert.deepEqual([without.rules, without.encryptedNodes], [[], []]);
  });

  test("is no device, and no way, on a node that cannot have one", () => {
    const seen = view([one, two]);
    const { links, addresses } = overlayFor(seen, false);
    assert.deepEqual([links, addresses], [[], []]);
    assert.ok(waysTo(seen, false).every((way) => way.endsWith("blackhole")));
  });

  test("is probed by its own link, from end to end", () => {
    assert.deepEqual(
      waysFrom(view([one, two])).map(({ way, link, from, to, bytes }) => [
        way,
        link,
        from,
        to,
        bytes,
      ]),
      [
        ["underlay", undefined, "192.0.2.1", "192.0.2.2", 1500],
        ["overlay", "hdwg", "192.0.2.1", "192.0.2.2", 1440],
      ],
    );
  });
});
