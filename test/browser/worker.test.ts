// The pages beside the Worker and its local Convoy, in a real browser: the API reference, the inbox, and of the portal
// what goes wrong and is mended, and who gets in.
import { afterAll, describe, expect, test } from "vitest";
import { createEndpoint } from "../support/client.ts";
import { openInbox, startBrowser } from "./browser.ts";
import { deliveriesTests } from "./portal/deliveries.ts";
import { eventsTests } from "./portal/events.ts";
import { operatorTests } from "./portal/operator.ts";
import { recoverTests } from "./portal/recover.ts";
import { safetyTests } from "./portal/safety.ts";
import { useScene, useVisits } from "./portal/setup.ts";
import { pageTests, referenceTests } from "./reference.ts";

const browser = await startBrowser();
const scene = useScene();
afterAll(() => browser?.close());

describe("the API reference", () => referenceTests(() => scene().url));
describe.skipIf(browser === null)("the API reference's page", () =>
  pageTests(() => scene().url, browser!),
);

test.skipIf(browser === null)(
  "a todo created through the Worker shows up in an open inbox without a reload",
  async () => {
    const { owner } = await scene().newcomer();
    const { page, complaints } = await openInbox(
      browser!,
      new URL("/", scene().convoy.apiUrl).href,
    );
    const { id, secret } = await createEndpoint(owner.call, `${scene().receiver.url}/hook`);
    scene().receiver.trust(secret);
    const answer = await owner.call("POST", `/todo?endpoint=${id}`, { id: 1, item: "Buy milk" });
    expect(answer.status).toBe(201);
    const row = page.locator(".row", { hasText: "Buy milk" });
    await row.locator(".status", { hasText: "Success" }).waitFor();
    expect(await row.locator(".signature").textContent()).toBe("valid");
    expect(await row.locator(".type").textContent()).toBe("created");
    expect(scene().receiver.received.map(({ refused }) => refused)).toEqual([undefined]);
    await page.context().close();
    expect(complaints).toEqual([]);
  },
);

describe.skipIf(browser === null)("the portal", () => {
  const visit = useVisits(browser);
  describe("deliveries", () => deliveriesTests(scene, visit));
  describe("recovery", () => recoverTests(scene, visit));
  describe("events", () => eventsTests(scene, visit));
  describe("operators", () => operatorTests(scene, visit));
  describe("safety", () => safetyTests(scene, visit));
});
