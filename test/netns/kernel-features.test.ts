/** Probes ask the kernel for the thing itself, and leave nothing behind. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, test } from "node:test";
import { probeFeatures, probeLinkKind, requireFeature } from "../../src/kernel/features.ts";
import { EINVAL, EOPNOTSUPP } from "../../src/kernel/ffi.ts";
import { openKernelDriver } from "../../src/kernel/netlink-driver.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "../../src/kernel/netlink-socket.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import { NftContext } from "../../src/kernel/nftables.ts";
import { probeKind } from "../../src/wire/netlink/link.ts";
import { linksJson, needsRoot, output, Scratch } from "./kernel-scratch.ts";

describe("a probe", { skip: needsRoot }, () => {
  test("finds what the data plane needs, and changes nothing", () => {
    using scratch = new Scratch();
    const netns = scratch.netns();
    const socket = inNetns(netns, () => new NetlinkSocket(NETLINK_ROUTE));
    scratch.defer(() => socket.close());
    const nft = inNetns(netns, () => new NftContext());
    scratch.defer(() => nft.close());
    const probe = probeFeatures(socket, nft);
    assert.deepEqual(probe.features, { vxlan: true, nftables: true });
    assert.equal(probe.wireguard, canMake(netns, "wireguard") ? "available" : "absent");
    requireFeature(probe, "vxlan");
    assert.equal(linksJson(netns).length, 1);
    assert.equal(output(netns, "nft", "list", "ruleset"), "");
  });

  test("tells a kind of link that the kernel has from one that nobody has", () => {
    using scratch = new Scratch();
    const socket = inNetns(scratch.netns(), () => new NetlinkSocket(NETLINK_ROUTE));
    scratch.defer(() => socket.close());
    assert.throws(() => socket.request(probeKind("vxlan", "hdprobe")), { errno: EINVAL });
    assert.throws(() => socket.request(probeKind("telepathy", "hdprobe")), { errno: EOPNOTSUPP });
  });

  test("of a kind without attributes tells what the kernel has, has not, and may not be asked", () => {
    assert.equal(probeLinkKind("bridge"), "available");
    assert.equal(probeLinkKind("telepathy"), "absent");
    const script =
      'import("./src/kernel/features.ts").then((m) => console.log(m.probeLinkKind("bridge")))';
    const bare = ["--clear-groups", "--reuid=65534", "--bounding-set=-all", process.execPath];
    const options = { encoding: "utf8", cwd: join(import.meta.dirname, "../..") } as const;
    assert.equal(execFileSync("setpriv", [...bare, "-e", script], options).trim(), "denied");
  });

  test("tells a node whose key cannot be used from one that has none", () => {
    using scratch = new Scratch();
    const missing = "/state/wireguard.key: want a WireGuard key";
    const driver = inNetns(scratch.netns(), () => openKernelDriver({ wireguard: { missing } }));
    scratch.defer(() => driver.close());
    assert.equal(driver.features.wireguard, "no-key");
    assert.equal(driver.missing.get("wireguard"), missing);
  });

  test("says what is missing when something needs it", () => {
    const probe = {
      features: { vxlan: false, nftables: true },
      missing: new Map([["vxlan", "the kernel has no VXLAN devices"] as const]),
    };
    requireFeature(probe, "nftables");
    assert.throws(() => requireFeature(probe, "vxlan"), {
      code: "kernel.feature.vxlan",
      message: "the kernel has no VXLAN devices",
    });
  });
});

/** As `ip` finds it. */
function canMake(netns: string, kind: string): boolean {
  try {
    output(netns, "ip", "link", "add", "hdother", "type", kind);
    output(netns, "ip", "link", "delete", "hdother");
    return true;
  } catch {
    return false;
  }
}
