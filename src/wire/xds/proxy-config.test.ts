import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import { proxyConfig } from "../../../test/worlds/proxy-config.ts";
import { MeshError } from "../../base/error.ts";
import { decodePrefix } from "./prefix.ts";
import { decodeProxyConfig, encodeProxyConfig } from "./proxy-config.ts";
import type { EncodedResource, XdsResources } from "./resources.ts";
import { groupByType, typeUrls } from "./resources.ts";
import { decodeAction } from "./route-action.ts";

/** Copies, so that nothing is answered from memory. */
function copied(resources: XdsResources): XdsResources {
  return groupByType(flat(resources).map((resource) => ({ ...resource })));
}

function flat(resources: XdsResources): EncodedResource[] {
  return [...resources.values()].flatMap((named) => [...named.values()]);
}

describe("a proxy configuration", () => {
  test("survives the way over xDS unchanged", () => {
    fc.assert(
      fc.property(proxyConfig, (config) => {
        assert.deepEqual(decodeProxyConfig(copied(encodeProxyConfig(config))), config);
      }),
      { numRuns: 200 },
    );
  });

  test("encodes to the same versions when nothing changed", () => {
    fc.assert(
      fc.property(proxyConfig, (config) => {
        const versions = (resources: XdsResources): string[] =>
          flat(resources).map((resource) => resource.version);
        assert.deepEqual(
          versions(encodeProxyConfig(config)),
          versions(encodeProxyConfig(structuredClone(config))),
        );
      }),
      { numRuns: 50 },
    );
  });

  test("is refused where a rule's source address is none, since who it is about would be anybody's guess", () => {
    const refused = (cidr: string) => () =>
      decodePrefix({ addressPrefix: cidr, prefixLen: { value: 14 } }, "rules");
    for (const address of ["81./5.15.149", "", "10.0.0", "fd00::1::"]) {
      assert.throws(refused(address), { message: /rules: want a prefix, got "/ });
    }
    assert.equal(refused("fd00::1")(), "fd00::/14");
  });

  test("of others may have a direct response in bytes, where they are text", () => {
    const decoded = (inlineBytes: Uint8Array) =>
      decodeAction({ directResponse: { status: 200, body: { inlineBytes } } }, "route");
    const action = { kind: "respond", status: 200, body: "ä" };
    assert.deepEqual(decoded(Uint8Array.of(0xc3, 0xa4)), action);
    const message = "route.direct_response.body.inline_bytes: want text in UTF-8";
    assert.throws(() => decoded(Uint8Array.of(0xff)), { message: new RegExp(message) });
  });

  test("is refused with an error that names resource and path, never with a crash, when bytes are damaged", () => {
    fc.assert(
      fc.property(
        proxyConfig.filter((config) => config.listeners.length > 0),
        fc.nat(),
        fc.integer({ min: 0, max: 255 }),
        (config, position, byte) => {
          const resources = flat(copied(encodeProxyConfig(config)));
          const damaged = resources.find((resource) => resource.typeUrl === typeUrls.listener);
          assert.ok(damaged);
          damaged.bytes[position % damaged.bytes.length] = byte;
          try {
            decodeProxyConfig(groupByType(resources));
          } catch (error) {
            assert.ok(error instanceof MeshError, String(error));
            assert.match(error.message, /Listener/);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
