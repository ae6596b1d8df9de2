/** What runtimes really send, and what people mistype. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import { CniError } from "./error.ts";
import { parseWishes } from "./wishes.ts";

const wishesOf = (runtimeConfig: unknown, args = {}) =>
  parseWishes({ name: "pods", runtimeConfig }, args, "pods");

describe("a runtime's wishes", () => {
  test("are read in either case", () => {
    const hostPorts = [{ protocol: "TCP", hostPort: 8080, containerPort: 80 }];
    const lower = [{ hostPort: 8080, containerPort: 80, protocol: "tcp", hostIP: "" }];
    const upper = [{ HostPort: 8080, ContainerPort: 80, Protocol: "TCP", HostIP: "" }];
    for (const portMappings of [lower, upper]) {
      assert.deepEqual(wishesOf({ portMappings }).hostPorts, hostPorts);
    }
    const bandwidth = { egress: { bitsPerSecond: 8_000_000, burstBytes: 100_000 } };
    assert.deepEqual(
      wishesOf({ bandwidth: { egressRate: 8e6, egressBurst: 8e5 } }).bandwidth,
      bandwidth,
    );
    assert.deepEqual(
      wishesOf({ bandwidth: { EgressRate: 8e6, EgressBurst: 8e5, IngressRate: 0 } }).bandwidth,
      bandwidth,
    );
  });

  test("may come in CNI_ARGS and in args.cni, and count there where no capability says them", () => {
    const args = { ip: "10.244.0.7", mac: "02:00:00:00:00:07" };
    const { addresses, mac } = wishesOf({}, args);
    assert.deepEqual([addresses, mac], [["10.244.0.7"], "02:00:00:00:00:07"]);
    assert.deepEqual(wishesOf({ ips: ["10.244.0.8/24"] }, args).addresses, ["10.244.0.8"]);
    const raw = { args: { cni: { ips: ["10.244.0.9"] } } };
    assert.deepEqual(parseWishes(raw, {}, "pods").addresses, ["10.244.0.9"]);
  });

  test("for names come as a list, or by network", () => {
    assert.deepEqual(wishesOf({ aliases: ["db", "Data"] }).aliases, ["db", "data"]);
    assert.deepEqual(wishesOf({ aliases: { pods: ["db"], other: ["x"] } }).aliases, ["db"]);
  });

  test("for a burst that containerd made up get the usual one", () => {
    const { ingress } = wishesOf({
      bandwidth: { IngressRate: 1e9, IngressBurst: 4_294_967_295 },
    }).bandwidth;
    assert.equal(ingress?.burstBytes, 1_250_000); // 10 ms
  });

  test("that cannot be are refused by field and value", () => {
    // field, value, code, message
    const table: readonly (readonly [string, unknown, number, RegExp])[] = [
      ["portMappings", {}, 7, /portMappings: want a list, got \{\}/],
      [
        "portMappings",
        [{ hostPort: 0, containerPort: 1 }],
        7,
        /\[0\]\.hostPort: want a port.*got 0/,
      ],
      ["portMappings", [{ hostPort: 1, containerPort: 70000 }], 7, /containerPort.*got 70000/],
      ["portMappings", [{ hostPort: "1" }], 7, /hostPort: want a port, 1 to 65535, got "1"/],
      ["portMappings", [{ protocol: "icmp" }], 2, /protocol="icmp": want tcp, udp or sctp/],
      ["portMappings", [{ hostIP: "localhost" }], 7, /hostIP: want an IP address of the node/],
      ["bandwidth", { ingressRate: -1 }, 7, /ingressRate: want a whole number of bits/],
      ["bandwidth", { ingressRate: 10 }, 7, /at least 8000 bit\/s, or 0 for no limit, got 10/],
      ["ips", ["nonsense"], 7, /ips\[0\]: want an IP address, got "nonsense"/],
      ["mac", "nonsense", 7, /mac: want six hex octets/],
      ["mac", "01:00:00:00:00:01", 7, /neither a group's nor zero/],
      ["aliases", ["-"], 7, /aliases\[0\]: want a DNS label, got "-"/],
    ];
    for (const [field, value, code, message] of table) {
      assert.throws(
        () => wishesOf({ [field]: value }),
        (error: unknown) => {
          assert.ok(error instanceof CniError);
          assert.match(error.message, message);
          return error.cniCode === code;
        },
      );
    }
    assert.throws(() => parseWishes({ ipam: { type: "host-local" } }, {}, "pods"), {
      message: /ipam\.type="host-local": Heddle gives addresses itself/,
    });
  });

  test("for ports of one address have it in its one form", () => {
    const portMappings = [{ hostPort: 80, containerPort: 80, hostIP: "FD00:0::0:1" }];
    assert.equal(wishesOf({ portMappings }).hostPorts[0]?.hostAddress, "fd00::1");
  });

  test("of any shape are read or refused with a CniError", () => {
    const field = fc.constantFrom("portMappings", "bandwidth", "ips", "mac", "aliases");
    fc.assert(
      fc.property(fc.dictionary(field, fc.jsonValue()), (runtimeConfig) => {
        try {
          wishesOf(runtimeConfig);
        } catch (error) {
          assert.ok(error instanceof CniError, String(error));
        }
      }),
    );
  });
});
