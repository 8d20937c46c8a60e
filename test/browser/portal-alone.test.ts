// The portal in a real browser, with an API in memory: sizes, and addresses that are changing.
import { afterAll, describe } from "vitest";
import { startBrowser } from "./browser.ts";
import { addressTests } from "./portal/address.ts";
import { useVisits } from "./portal/setup.ts";
import { sizesTests } from "./portal/sizes.ts";

const browser = await startBrowser();
afterAll(() => browser?.close());

describe.skipIf(browser === null)("the portal alone", () => {
  const visit = useVisits(browser);
  describe("sizes", () => sizesTests(visit));
  describe("filters", () => addressTests(visit));
});
