/**
 * What is made of a request beyond its head: its target, and the words of gRPC.
 *
 * For every target that is taken: it stands in a request line as one word; there is nothing in its path that one server
 * reads in one way and another in another; and, sent on, it is read as itself. For every text: a timeout is a time, a status
 * one that there is, and a message goes through a field unharmed.
 */

import { grpcReply, parseGrpcTimeout } from "../../src/proxy/codec/http2/grpc.ts";
import { parseTarget } from "../../src/proxy/codec/target.ts";
import { httpStatusOf, knownGrpcStatus } from "../../src/proxy/stack/grpc-status.ts";
import type { FuzzTarget } from "./target.ts";

const latin1 = (text: string): Uint8Array => Buffer.from(text, "latin1");

export const targets: FuzzTarget = {
  name: "targets of requests",
  corpus: {
    seeds: [
      "/a/b?c=d",
      "/a/../b/./c/",
      "/%2e%2e/a%2Fb%5c..\\d",
      "http://shop:80/a?b",
      "HTTPS://a.example?q",
      "*",
      "a:443",
    ].map(latin1),
    dictionary: ["%2e", "%2F", "%5C", "%00", "..", "/./", "//", "\\", "#", "?", "http://", "@"].map(
      latin1,
    ),
  },
  check(bytes) {
    // The head's parser lets no blank and no control byte into a target.
    const text = Buffer.from(bytes)
      .toString("latin1")
      .replace(/[\0- \x7f]/g, "");
    if (parseTarget(text, "CONNECT") !== undefined) throw new Error("CONNECT has no path");
    const target = parseTarget(text, "GET");
    if (target === undefined) return false;
    const { path, query } = target;
    if (!/^\/[!-~]*$/.test(path) || path.includes("?")) throw new Error(`path ${path}`);
    if (!/^(\?[!-~]*)?$/.test(query)) throw new Error(`query ${query}`);
    if (path.includes("\\") || /%(?![0-9A-F]{2})|%00|%2E|%41/.test(path)) {
      throw new Error(`path ${path} can be written in another way`);
    }
    if (path.split("/").some((part) => part === "." || part === "..")) {
      throw new Error(`path ${path} climbs`);
    }
    const again = parseTarget(path + query, "GET");
    if (again?.path !== path || again.query !== query) {
      throw new Error(`${path}${query} is read as ${JSON.stringify(again)}`);
    }
    return true;
  },
};

export const grpcWords: FuzzTarget = {
  name: "grpc words",
  corpus: {
    seeds: ["12H", "99999999n", "0m", "16", "7", "no healthy upstream", "caf\u00e9 100%"].map(
      (text) => Buffer.from(text),
    ),
    dictionary: ["S", "u", "1", "00", "%", "\r\n", "\u20ac", "grpc-status: 0"].map((text) =>
      Buffer.from(text),
    ),
  },
  check(bytes) {
    const text = Buffer.from(bytes).toString();
    const ms = parseGrpcTimeout(text);
    if (ms !== undefined && !(ms >= 0 && Number.isFinite(ms))) throw new Error(`a time of ${ms}`);
    const status = knownGrpcStatus(text);
    if (status !== "" && !(httpStatusOf(status) >= 200)) throw new Error(`status ${status}`);
    const { lines } = grpcReply(503, text);
    const message = /^grpc-message: ([ -~]*)\r\n/m.exec(lines)?.[1] ?? "";
    if (lines.split("\r\n").length !== (text === "" ? 3 : 4)) throw new Error(`lines ${lines}`);
    if (decodeURIComponent(message) !== text) throw new Error(`message ${message}`);
    return ms !== undefined || status !== "";
  },
};
