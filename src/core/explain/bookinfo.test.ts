/** Bookinfo's published manifests, explained. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { deployedWorld } from "../../../test/worlds/deployed.ts";
import { explain } from "./explain.ts";
import type { Explanation } from "./explanation.ts";
import { renderDecider } from "./verdict.ts";

const folder = new URL("../../../../shared/samples/bookinfo/", import.meta.url);
const skip = existsSync(folder) ? false : "the Bookinfo samples are not beside the project";

function ask(
  files: readonly string[],
  destination: string,
  headers: Readonly<Record<string, string>> = {},
): Explanation {
  const texts = ["bookinfo.yaml", "destination-rule-all.yaml", ...files].map((file) =>
    readFileSync(new URL(file, folder), "utf8"),
  );
  const world = deployedWorld("default", texts);
  return explain(world, { source: "productpage", destination, headers });
}

function route({ steps }: Explanation): readonly string[] {
  return steps.filter(({ step }) => step === "route").flatMap(({ by }) => by.map(renderDecider));
}

function shares({ branches }: Explanation): readonly (readonly [number, string | undefined])[] {
  return branches.map(({ share, candidates }) => [share, candidates[0]?.pod]);
}

describe("Bookinfo, explained", { skip }, () => {
  test("sends jason to v2 by the first rule, and others by the second", () => {
    const files = ["virtual-service-reviews-jason-v2-v3.yaml"];
    const jason = ask(files, "reviews", { "end-user": "jason" });
    assert.deepEqual(route(jason), ["VirtualService default/reviews spec.http[0]"]);
    assert.deepEqual(shares(jason), [[1, "default/reviews-v2-0"]]);
    const others = ask(files, "reviews");
    assert.deepEqual(route(others), ["VirtualService default/reviews spec.http[1]"]);
    assert.deepEqual(shares(others), [[1, "default/reviews-v3-0"]]);
    const detail = others.steps.find(({ step }) => step === "route")?.detail ?? "";
    assert.match(detail, /headers\.end-user: have absent, want exact "jason"/);
  });

  test("splits 80 to 20", () => {
    assert.deepEqual(shares(ask(["virtual-service-reviews-80-20.yaml"], "reviews")), [
      [0.8, "default/reviews-v1-0"],
      [0.2, "default/reviews-v2-0"],
    ]);
  });

  test("answers jason with the fault of ratings, and nobody else", () => {
    const files = ["virtual-service-ratings-test-abort.yaml"];
    const jason = ask(files, "ratings", { "end-user": "jason" }).verdict;
    assert.equal(jason.outcome === "answered" && jason.status, 500);
    assert.equal(ask(files, "ratings").verdict.outcome, "allowed");
  });
});
