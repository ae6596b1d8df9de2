import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { controlNetns, hostNetns, isNetnsOf, labPaths, podNetns, underlayNetns } from "./names.ts";

describe("a lab's namespaces", () => {
  test("are recognised by the lab's name, and are no other lab's", () => {
    const names = (lab: string) => [
      underlayNetns(lab),
      controlNetns(lab),
      hostNetns(lab, 2),
      podNetns(lab, "shop", "web-5d9f-abcde", "0123456789abcdef"),
    ];
    for (const lab of ["lab", "lab-2", "a", "a-b"]) {
      for (const other of ["lab", "lab-2", "a", "a-b"]) {
        for (const name of names(lab)) assert.equal(isNetnsOf(other, name), lab === other, name);
      }
    }
    assert.equal(isNetnsOf("lab", "heddle-lab-mine"), false);
  });
});

describe("the name of a lab", () => {
  test("is refused when its namespaces could be another lab's, or its paths would be too long", () => {
    assert.equal(labPaths("my-lab", "/data").adminSocket, "/data/my-lab/server/admin.sock");
    for (const bad of ["", "Lab", "a_b", "a-", "x".repeat(25), "a-node-1", "test", "pod"]) {
      assert.throws(() => labPaths(bad, "/data"), { code: "lab.name.invalid" }, bad);
    }
    assert.throws(() => labPaths("lab", `/${"d".repeat(90)}`), { code: "lab.path.long" });
  });
});
