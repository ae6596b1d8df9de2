import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseWireguardDump } from "./dump.ts";

const secret = "IGxAhJVGx9SB+kQp1C4HwUGr0CUZ+3KfeHkj2rHpHn8=";
const key = "m1cxYC8XL82WaSlRDr2d15g7iF0GfANE6zyGZnvu/jc=";

describe("the dump of a WireGuard device", () => {
  test("is the device and its peers, with what is not known left out", () => {
    const text = [
      [secret, key, "51871", "off"],
      [
        "b",
        "(none)",
        "[2001:db8::2]:51871",
        "fd00::/122,10.244.0.64/26",
        "1764489600",
        "92",
        "148",
      ],
      ["a", "(none)", "(none)", "(none)", "0", "0", "0"],
    ];
    const dump = `${text.map((line, i) => [...line, ...(i > 0 ? ["off"] : [])].join("\t")).join("\n")}\n`;
    assert.deepEqual(parseWireguardDump(dump), {
      publicKey: key,
      port: 51871,
      peers: [
        { publicKey: "a", endpoint: "", allowed: [], receivedBytes: 0, sentBytes: 0 },
        {
          publicKey: "b",
          endpoint: "[2001:db8::2]:51871",
          allowed: ["10.244.0.64/26", "fd00::/122"],
          handshakeAt: 1764489600,
          receivedBytes: 92,
          sentBytes: 148,
        },
      ],
    });
  });

  test("is refused by line and field, and the private key is not repeated", () => {
    for (const [text, words] of [
      ["", /line 1 of wg's dump: 1 fields, want 4/],
      [`${secret}\t${key}\n`, /line 1 of wg's dump: 2 fields, want 4/],
      [`${secret}\t${key}\tmany\toff\n`, /line 1 of wg's dump: listen port is no number/],
      [
        `${secret}\t${key}\t1\toff\nb\t(none)\t(none)\t(none)\t-1\t0\t0\toff\n`,
        /line 2 of wg's dump: latest handshake is no number/,
      ],
    ] as const) {
      assert.throws(
        () => parseWireguardDump(text),
        (error: Error) => words.test(error.message) && !error.message.includes(secret),
      );
    }
  });
});
