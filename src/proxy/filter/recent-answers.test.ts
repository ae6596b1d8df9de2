import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RecentAnswers } from "./recent-answers.ts";

describe("the answers of late", () => {
  /** A hundred answers that took `ms` each, at once. */
  const hundred = (answers: RecentAnswers, ms: number) => {
    for (let i = 0; i < 100; i++) answers.observe(ms);
  };
  const isAbout = (ms: number | undefined, wanted: number) =>
    ms !== undefined && Math.abs(ms - wanted) < wanted / 5;

  test("say nothing while there are fewer than a hundred", () => {
    let now = 0;
    const answers = new RecentAnswers(() => now);
    for (let i = 0; i < 99; i++) answers.observe(100);
    assert.equal(answers.quantileMs(0.9), undefined);
    answers.observe(100);
    now = 500;
    assert.ok(isAbout(answers.quantileMs(0.9), 100));
  });

  test("are those of the period before, while the present one has fewer", () => {
    let now = 0;
    const answers = new RecentAnswers(() => now);
    hundred(answers, 100);
    now = 11_000;
    answers.observe(1_000);
    assert.ok(isAbout(answers.quantileMs(0.9), 100));
  });

  test("do not go by what a route took before a pause", () => {
    let now = 0;
    const answers = new RecentAnswers(() => now);
    hundred(answers, 1);
    now = 3_600_000;
    assert.equal(answers.quantileMs(0.9), undefined);
    answers.observe(1_000);
    now += 11_000;
    answers.observe(1_000);
    assert.equal(answers.quantileMs(0.9), undefined);
  });
});
