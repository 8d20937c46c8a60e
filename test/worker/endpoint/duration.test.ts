/** Durations as people write them. */
import { expect, test } from "vitest";
import { DURATION, durationSeconds } from "../../../src/endpoint/duration.ts";

test.each([
  ["1", 1],
  ["10", 10],
  ["10s", 10],
  ["90s", 90],
  ["3600s", 3_600],
  ["1m", 60],
  ["1m0s", 60],
  ["1m30s", 90],
  ["59m59s", 3_599],
  ["60m", 3_600],
  ["1h", 3_600],
  ["1h0m0s", 3_600],
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
  "3601",
  "3601s",
  "61m",
  "60m1s",
  "1h1s",
  "2h",
  "30s1m",
  "1m60s",
  "1e3",
  "10s\n",
  "١٠s",
])("%j is none", (text) => {
  expect(text).not.toMatch(DURATION);
});

test("every whole number of seconds up to an hour is one, and no other number", () => {
  const taken = Array.from({ length: 4_000 }, (_, n) => n).filter((n) => DURATION.test(`${n}`));
  expect(taken).toEqual(Array.from({ length: 3_600 }, (_, n) => n + 1));
});
