/** Durations as people write them. */
import { expect, test } from "vitest";
import { DURATION, durationSeconds } from "../../../src/endpoint/schema.ts";

test.each([
  ["1", 1],
  ["10", 10],
  ["10s", 10],
  ["59s", 59],
  ["60s", 60],
  ["1m", 60],
  ["1m0s", 60],
])("%j is %d seconds", (text, seconds) => {
  expect(text).toMatch(DURATION);
  expect(durationSeconds(text)).toBe(seconds);
});

test.each([
  "",
  "0",
  "0s",
  "-1s",
  "+1s",
  "01s",
  "1.5s",
  "1 s",
  "s",
  "m",
  "1d",
  "61",
  "61s",
  "600s",
  "1m1s",
  "1m30s",
  "2m",
  "60m",
  "1h",
  "30s1m",
  "1m60s",
  "1e3",
  "10s\n",
  "١٠s",
])("%j is not a duration", (text) => {
  expect(text).not.toMatch(DURATION);
});

test("the only bare numbers that are durations are 1 to 60", () => {
  const taken = Array.from({ length: 4_000 }, (_, n) => n).filter((n) => DURATION.test(`${n}`));
  expect(taken).toEqual(Array.from({ length: 60 }, (_, n) => n + 1));
});
