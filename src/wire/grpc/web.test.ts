import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { answerForm, encodeTrailers, grpcTypeOf, parseWebType, webTypeOf } from "./web.ts";
import { Base64Reader } from "./web-text.ts";

describe("a content type of gRPC-Web", () => {
  for (const [written, grpc, web] of [
    ["application/grpc-web", "application/grpc", "application/grpc-web+proto"],
    ["application/grpc-web+proto", "application/grpc", "application/grpc-web+proto"],
    ["application/grpc-web+json", "application/grpc+json", "application/grpc-web+json"],
    ["Application/gRPC-Web+Thrift; x=y", "application/grpc+thrift", "application/grpc-web+thrift"],
    ["application/grpc-web-text", "application/grpc", "application/grpc-web-text+proto"],
    ["application/grpc-web-text-base64", "application/grpc", "application/grpc-web-text+proto"],
    ["application/grpc-web-text+json", "application/grpc+json", "application/grpc-web-text+json"],
  ] as const) {
    test(`${written} is ${grpc}, and ${web} in answers`, () => {
      const form = parseWebType(written);
      assert.ok(form !== undefined);
      assert.equal(grpcTypeOf(form), grpc);
      assert.equal(webTypeOf(form), web);
    });
  }

  for (const other of [
    "application/grpc",
    "application/grpc+proto",
    "application/grpc-websocket",
    "application/grpc-web-texts",
    "application/json",
    "text/plain, application/grpc-web",
    "",
  ]) {
    test(`is not ${JSON.stringify(other)}`, () => assert.equal(parseWebType(other), undefined));
  }
});

describe("the form of an answer", () => {
  const binary = { isText: false, codec: "proto" };
  const text = { isText: true, codec: "json" };
  test("is the one that is accepted by name", () => {
    assert.deepEqual(answerForm(binary, "*/*, application/grpc-web-text"), {
      ...binary,
      isText: true,
    });
    assert.deepEqual(answerForm(text, "application/grpc-web+json"), { ...text, isText: false });
  });
  test("is the request's where none is named", () => {
    assert.deepEqual(answerForm(text, "*/*"), text);
    assert.deepEqual(answerForm(binary, undefined), binary);
  });
});

test("trailers are a frame with the highest bit of its flag set and lines in it", () => {
  const lines = "grpc-status: 0\r\nx-name: J\xfcrgen\r\n";
  const frame = Buffer.from(encodeTrailers(lines));
  assert.deepEqual([...frame.subarray(0, 5)], [0x80, 0, 0, 0, lines.length]);
  assert.equal(frame.toString("latin1", 5), lines);
});

describe("base64 in pieces", () => {
  const texts = (...parts: string[]): string | undefined => {
    const reader = new Base64Reader();
    let read = "";
    for (const part of parts) {
      const bytes = reader.read(Buffer.from(part, "latin1"), 0, part.length);
      if (bytes === undefined) return undefined;
      read += Buffer.from(bytes).toString("latin1");
    }
    return reader.isWhole ? read : undefined;
  };

  test("is read wherever it is cut", () => {
    const written = `${btoa("a")}${btoa("bc")}${btoa("def")}${btoa("ghij")}`;
    for (let i = 0; i <= written.length; i++) {
      for (let j = i; j <= written.length; j++) {
        const parts = [written.slice(0, i), written.slice(i, j), written.slice(j)];
        assert.equal(texts(...parts), "abcdefghij");
      }
    }
  });

  test("is every byte's", () => {
    const all = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte));
    assert.equal(texts(btoa(all)), all);
  });

  for (const broken of ["Y", "YQ", "YQ=", "Y===", "=YQ=", "Y=Q=", "YQ=a", "YR==", "YWJ=", "YQ-_"]) {
    test(`is not ${broken}`, () => assert.equal(texts(broken), undefined));
  }
  test("has no line ends", () => assert.equal(texts("YWJj\r\n"), undefined));
});
