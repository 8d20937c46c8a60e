/** What the verbs refuse before they look at anything: mistakes of the code. */
import { expect, test } from "vitest";
import type { Change } from "../../../src/outbox/rows.ts";
import { change } from "../../../src/outbox/verbs.ts";
import { part } from "../../support/thing.ts";

test.each<[Change, string]>([
  ["delete", "part.sealed"],
  ["update", "part.created"],
  ["update", "part.failed"],
  ["update", "part.lost"],
])("a %s is never told of as %s", async (kind, type) => {
  const c = { get: () => "me" } as never;
  const wrong = { change: kind, id: "part_1", type: type as "part.sealed" };
  await expect(change(c, part, wrong)).rejects.toThrow(`part declares no type ${type}`);
});
