// From the Worker to the page: a todo created through the Worker shows up in an open inbox.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEndpoint } from "../support/client.ts";
import { type System, startSystem } from "../support/system.ts";
import { openInbox, startBrowser } from "./browser.ts";

const browser = await startBrowser();

describe.skipIf(browser === null)("the inbox page beside the Worker", () => {
  let system: System;
  beforeAll(async () => {
    system = await startSystem();
  });
  afterAll(async () => {
    await browser?.close();
    await system?.close();
  });

  test("a todo created through the Worker shows up without a reload", async () => {
    const { page, complaints } = await openInbox(browser!, new URL("/", system.convoy.apiUrl).href);
    const { id, secret } = await createEndpoint(system.call, `${system.receiver.url}/hook`);
    system.receiver.trust(secret);

    const posted = performance.now();
    const answer = await system.call("POST", `/todo?endpoint=${id}`, { id: 1, item: "Buy milk" });
    expect(answer.status).toBe(201);
    const row = page.locator(".row", { hasText: "Buy milk" });
    await row.locator(".status", { hasText: "Success" }).waitFor();
    console.log(
      `first delivery shown ${Math.round(performance.now() - posted)} ms after POST /todo was sent`,
    );

    expect(await row.locator(".signature").textContent()).toBe("valid");
    expect(await row.locator(".type").textContent()).toBe("created");
    expect(system.receiver.received.map((one) => one.refused)).toEqual([undefined]);
    await page.context().close();
    expect(complaints).toEqual([]);
  });
});
