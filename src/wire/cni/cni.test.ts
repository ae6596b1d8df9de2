import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import { MeshError } from "../../base/error.ts";
import { parseArgs } from "./args.ts";
import { CniError, encodeError } from "./error.ts";
import { decodeInvocation, decodeReply, encodeInvocation, encodeReply } from "./frame.ts";
import { parseRequest } from "./request.ts";
import { chainResults, encodeResult, parseResult } from "./result.ts";
import { encodeVersions, supportedVersions } from "./version.ts";

const config = JSON.stringify({ cniVersion: "1.1.0", name: "pods", type: "heddle-cni", more: 1 });
const env = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/run/netns/c1",
  CNI_IFNAME: "eth0",
  CNI_PATH: "/opt/cni/bin",
};

describe("a CNI frame", () => {
  const word = fc.string({ unit: "binary" }).map((text) => text.replaceAll("\0", ""));
  const key = fc.stringMatching(/^CNI_[A-Z]{1,12}$/);

  test("carries every environment and standard input unchanged", () => {
    fc.assert(
      fc.property(fc.dictionary(key, word), fc.string({ unit: "binary" }), (variables, stdin) => {
        const decoded = decodeInvocation(encodeInvocation({ env: variables, stdin }));
        assert.deepEqual({ ...decoded.env }, { ...variables });
        assert.equal(decoded.stdin, stdin);
      }),
    );
    fc.assert(
      fc.property(fc.nat(255), fc.string({ unit: "binary" }), (exitCode, stdout) => {
        assert.deepEqual(decodeReply(encodeReply({ exitCode, stdout })), { exitCode, stdout });
      }),
    );
  });

  test("that is none is refused with SyntaxError", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc.uint8Array({ maxLength: 80 }).map((rest) => {
        return Uint8Array.from([...Buffer.from("heddle-cni 1\n"), ...rest]);
      }),
    );
    fc.assert(
      fc.property(bytes, (frame) => {
        try {
          decodeInvocation(frame);
        } catch (error) {
          assert.ok(error instanceof SyntaxError, String(error));
        }
      }),
    );
  });
});

describe("a CNI request", () => {
  test("with variables missing names them all, code 4", () => {
    // command, variables that are there, the message
    const table: readonly (readonly [string, readonly string[], string])[] = [
      ["ADD", [], "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"],
      ["ADD", ["CNI_PATH", "CNI_NETNS"], "CNI_CONTAINERID,CNI_IFNAME"],
      ["CHECK", ["CNI_IFNAME"], "CNI_CONTAINERID,CNI_NETNS,CNI_PATH"],
      ["DEL", [], "CNI_CONTAINERID,CNI_IFNAME,CNI_PATH"],
      ["GC", [], "CNI_PATH"],
      ["STATUS", [], "CNI_PATH"],
    ];
    for (const [command, there, missing] of table) {
      const some = Object.fromEntries(Object.entries(env).filter(([key]) => there.includes(key)));
      refused(
        { ...some, CNI_COMMAND: command },
        config,
        4,
        `required env variables [${missing}] missing`,
      );
    }
  });

  test("is refused with the reference library's code", () => {
    // changes to the environment, standard input, code, part of the message
    const table: readonly (readonly [Record<string, string>, string, number, RegExp])[] = [
      [{ CNI_COMMAND: "PUT" }, config, 4, /unknown CNI_COMMAND: PUT/],
      [{ CNI_COMMAND: "constructor" }, config, 4, /unknown CNI_COMMAND/],
      [{ CNI_CONTAINERID: "a/b" }, config, 4, /containerID/],
      [{ CNI_CONTAINERID: "-a" }, config, 4, /containerID/],
      [{ CNI_IFNAME: "abcdefghijklmnop" }, config, 4, /too long/],
      [{ CNI_IFNAME: "." }, config, 4, /\. or \.\./],
      [{ CNI_IFNAME: "a b" }, config, 4, /whitespace/],
      [{ CNI_ARGS: "nonsense" }, config, 4, /KEY=VALUE/],
      [{ CNI_ARGS: "FOO=1" }, config, 4, /unknown CNI_ARGS \[FOO\]/],
      [{ CNI_ARGS: "IP=nonsense" }, config, 7, /ips\[0\]: want an IP address, got "nonsense"/],
      [{}, "{", 6, /parse network configuration/],
      [{}, "[]", 6, /JSON object/],
      [{}, `{"cniVersion":"1.0.0"}`, 7, /missing network name/],
      [{}, `{"cniVersion":"1.0.0","name":"a b"}`, 7, /network name/],
      [{}, `{"cniVersion":"9.0.0","name":"pods"}`, 1, /incompatible/],
      [{ CNI_COMMAND: "CHECK" }, `{"cniVersion":"0.3.1","name":"pods"}`, 1, /CHECK/],
      [{ CNI_COMMAND: "GC" }, `{"cniVersion":"1.0.0","name":"pods"}`, 1, /GC/],
      [{ CNI_COMMAND: "STATUS" }, `{"cniVersion":"1.0.0","name":"pods"}`, 1, /STATUS/],
    ];
    for (const [change, stdin, code, message] of table) {
      refused({ ...env, ...change }, stdin, code, message);
    }
  });

  test("to add names the pod, whatever else the runtime says", () => {
    const request = parseRequest({
      env: {
        ...env,
        CNI_ARGS:
          "K8S_POD_UID=u1;IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;OTHER=2;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=x",
      },
      stdin: config,
    });
    assert.deepEqual(request, {
      command: "ADD",
      key: { containerId: "c1", ifName: "eth0" },
      netns: "/run/netns/c1",
      args: { podNamespace: "shop", podName: "web", podUid: "u1" },
      config: { cniVersion: "1.1.0", name: "pods" },
      allowOwnNetns: false,
      wishes: { hostPorts: [], bandwidth: {}, addresses: [], aliases: [] },
    });
  });

  test("to delete needs no namespace", () => {
    const request = parseRequest({
      env: { ...env, CNI_COMMAND: "DEL", CNI_NETNS: "" },
      stdin: config,
    });
    assert.equal(request.command, "DEL");
  });

  test("to collect garbage tells an empty list from none", () => {
    const valid = (fields: object) => {
      const request = parseRequest({
        env: { CNI_COMMAND: "GC", CNI_PATH: "/opt" },
        stdin: JSON.stringify({ cniVersion: "1.1.0", name: "pods", ...fields }),
      });
      return request.command === "GC" ? request.valid : "not GC";
    };
    assert.equal(valid({}), undefined);
    assert.deepEqual(valid({ "cni.dev/valid-attachments": [] }), []);
    assert.deepEqual(valid({ "cni.dev/attachments": [{ ContainerID: "a", IfName: "eth0" }] }), [
      { containerId: "a", ifName: "eth0" },
    ]);
  });

  test("for the version reads its input only if it can", () => {
    const version = (stdin: string) => parseRequest({ env: { CNI_COMMAND: "VERSION" }, stdin });
    assert.deepEqual(version(`{"cniVersion":"0.4.0"}`), {
      command: "VERSION",
      cniVersion: "0.4.0",
    });
    assert.deepEqual(version(""), { command: "VERSION" });
    assert.equal(JSON.parse(encodeVersions("0.4.0")).cniVersion, "0.4.0");
    assert.deepEqual(JSON.parse(encodeVersions(undefined)).supportedVersions, supportedVersions);
  });

  test("of any content is read or refused with a CniError", () => {
    const word = fc.oneof(
      fc.constantFrom(...Object.values(env), "DEL", "GC", "CHECK"),
      fc.string(),
    );
    const some = fc.dictionary(fc.constantFrom(...Object.keys(env), "CNI_ARGS"), word);
    fc.assert(
      fc.property(some, fc.oneof(fc.json(), fc.constant(config)), (variables, stdin) => {
        try {
          parseRequest({ env: { ...env, ...variables }, stdin });
        } catch (error) {
          assert.ok(error instanceof CniError, String(error));
        }
      }),
    );
  });

  function refused(
    variables: Record<string, string>,
    stdin: string,
    code: number,
    message: RegExp | string,
  ) {
    assert.throws(
      () => parseRequest({ env: variables, stdin }),
      (error: unknown) => {
        assert.ok(error instanceof CniError, String(error));
        assert.equal(error.cniCode, code, error.message);
        if (typeof message === "string") assert.equal(error.message, message);
        else assert.match(error.message, message);
        return true;
      },
    );
  }
});

describe("a CNI result", () => {
  const result = {
    interfaces: [
      { name: "hd0123456789", mac: "02:00:00:00:00:01", mtu: 1450 },
      { name: "eth0", mac: "02:00:00:00:00:02", mtu: 1450, sandbox: "/run/netns/c1" },
    ],
    ips: [{ address: "10.244.0.5/32", gateway: "169.254.1.1", interface: 1 }],
    routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }],
    dns: { nameservers: ["169.254.1.1"] },
  };

  test("has the shape of the version that was asked for", () => {
    const shape = (version: string) => JSON.parse(encodeResult(result, version));
    assert.deepEqual(shape("1.1.0"), { cniVersion: "1.1.0", ...result });
    assert.equal("mtu" in shape("1.0.0").interfaces[0], false);
    assert.equal("version" in shape("1.0.0").ips[0], false);
    assert.deepEqual(shape("0.4.0").ips[0], { version: "4", ...result.ips[0] });
    assert.deepEqual(shape("0.3.1").interfaces[1], {
      name: "eth0",
      mac: "02:00:00:00:00:02",
      sandbox: "/run/netns/c1",
    });
    assert.deepEqual(shape("0.2.0"), {
      cniVersion: "0.2.0",
      ip4: { ip: "10.244.0.5/32", gateway: "169.254.1.1", routes: result.routes },
      dns: result.dns,
    });
  });

  test("follows the results of the plugins before", () => {
    const before = {
      interfaces: [{ name: "lo", sandbox: "/run/netns/c1" }],
      ips: [{ address: "127.0.0.1/8", interface: 0 }],
      routes: [],
      dns: {},
    };
    const chained = chainResults(parseResult(JSON.parse(encodeResult(before, "0.4.0"))), result);
    assert.deepEqual(chained.interfaces, [...before.interfaces, ...result.interfaces]);
    assert.deepEqual(
      chained.ips.map((ip) => ip.interface),
      [0, 2],
    );
  });

  test("of the plugins before is passed on whole, in versions that have what it says", () => {
    const before = {
      interfaces: [{ name: "p0", mtu: 9000, socketPath: "/run/p0", pciID: "0000:01:00.0" }],
      ips: [],
      routes: [{ dst: "10.9.0.0/16", mtu: 1400, advmss: 1360, priority: 5, table: 7, scope: 253 }],
      dns: {},
    };
    const passed = (version: string) => JSON.parse(encodeResult(parseResult(before), version));
    assert.deepEqual(passed("1.1.0"), { cniVersion: "1.1.0", ...before });
    assert.deepEqual(passed("1.0.0").interfaces, [{ name: "p0" }]);
    assert.deepEqual(passed("1.0.0").routes, [{ dst: "10.9.0.0/16" }]);
  });

  test("of another plugin in another shape is refused with code 6", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        try {
          parseResult(value);
        } catch (error) {
          assert.ok(error instanceof CniError && error.cniCode === 6, String(error));
        }
      }),
    );
  });
});

describe("a CNI error", () => {
  test("says again later where trying again may help, and else internal", () => {
    const code = (retryable: boolean) =>
      JSON.parse(encodeError(new MeshError("a.b", "do it", { retryable }), "1.0.0")).code;
    assert.equal(code(true), 11);
    assert.equal(code(false), 999);
    assert.equal(JSON.parse(encodeError(new Error("x"), "1.0.0")).code, 999);
  });

  test("keeps its own code, message and details", () => {
    const error = new CniError(7, "missing network name", { details: "d" });
    assert.deepEqual(JSON.parse(encodeError(error, "0.4.0")), {
      cniVersion: "0.4.0",
      code: 7,
      msg: "missing network name",
      details: "d",
    });
  });
});

test("CNI_ARGS with empty values count as absent", () => {
  assert.deepEqual(parseArgs("K8S_POD_NAME=;IP=;IgnoreUnknown=true"), {});
});
