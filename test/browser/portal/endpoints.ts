// What an owner does with endpoints and their deliveries.
import type { Route } from "playwright-core";
import { expect, test } from "vitest";
import { clipboard } from "../browser.ts";
import type { PortalScene } from "./scene.ts";
import { check, has, hasLater, type Visit } from "./visit.ts";

/** Registers these tests; the scene exists once they run. */
export function endpointsTests(scene: () => PortalScene, visit: Visit) {
  test("adds an endpoint: errors are shown beside the fields, the secret once, and a ping arrives", async () => {
    const { owner } = await scene().newcomer();
    const { page, button, dialog, deliveries, said, link } = await visit(owner.link);
    await link("Endpoints").click();
    await page.getByRole("heading", { name: "No endpoints yet" }).waitFor();
    await button("Add endpoint").click();
    await dialog().getByLabel("URL").fill("ftp://example.com");
    await dialog().getByLabel("Timeout").fill("never");
    await button("Add").click();
    await has(page.locator("#name-wrong"), "must not be empty");
    await has(page.locator("#url-wrong"), "must begin with https://");
    await has(page.locator("#http_timeout-wrong"), "must be");
    expect(await page.evaluate<string>("document.activeElement.id")).toBe("name");

    await dialog().getByLabel("Name").fill("Shop backend");
    await dialog().getByLabel("URL").fill(`${scene().receiverUrl}/ok`);
    await dialog().getByLabel("Timeout").fill("10s");
    await button("Add").click();
    await has(dialog().getByRole("heading"), "Shop backend has been added");
    const secret = (await page.locator("#new-secret").textContent()) ?? "";
    await page.keyboard.press("Escape");
    await button("Copy secret").click();
    await said("Copied the secret");
    expect(await clipboard(page)).toBe(secret);
    await button("Copy the check").click();
    await said("Copied the check");
    const code = await clipboard(page);
    await button("I have stored the secret").click();
    await dialog().waitFor({ state: "hidden" });
    expect(await page.content()).not.toContain(secret);

    await has(page.locator(".facts"), "10 s for an answer");
    await page.getByRole("heading", { name: "Nothing has been sent here yet" }).waitFor();
    await button("Send a ping").click();
    await has(
      page.locator(".test"),
      /Ping.*accepted it\. The receiver answered HTTP 200 after \d+ ms/s,
    );
    await has(deliveries(), /delivered.*ping.*1 try/s);
    const [webhook] = scene().arrivals;
    expect(await check(code, secret, webhook!)).toBe("true");
    expect(await check(code, "another", webhook!)).toBe("false");
    expect(await check(code, "", webhook!)).toBe("false");
  });

  test("edits an endpoint: event types, a header whose value is not shown, a rate limit", async () => {
    const { owner, endpoint } = await scene().newcomer();
    const { id } = await endpoint();
    const { page, button, dialog, link, row } = await visit(owner.link);
    const record = async () => (await owner.call("GET", `/endpoint/${id}`)).body;
    await link("Endpoints").click();
    await row("Shop backend").click();
    await button("Edit").click();
    await dialog().getByLabel("Name").fill("Warehouse");
    await dialog().getByLabel("URL").fill("nonsense");
    await button("Save").click();
    await has(page.locator("#url-wrong"), "must begin with https:// or http://");
    await dialog().getByLabel("URL").fill(`${scene().receiverUrl}/moved`);
    await dialog()
      .getByLabel(/All, also/)
      .uncheck();
    await button("Save").click();
    await has(page.locator("#types-wrong"), /at least|must|empty/);
    await dialog().getByLabel("created").check();
    await page.locator("summary", { hasText: "A header, a rate limit" }).click();
    await dialog().getByLabel("Header").fill("X-Api-Key");
    await dialog().getByLabel("Its value").fill("a-secret-value");
    await dialog().getByLabel("Requests at most").fill("5");
    await dialog().getByLabel("in seconds").fill("10");
    await button("Save").click();
    await page.getByRole("heading", { name: "Warehouse" }).waitFor();
    expect(await record()).toMatchObject({
      ...{ name: "Warehouse", url: `${scene().receiverUrl}/moved`, event_types: ["created"] },
      ...{ header_names: ["X-Api-Key"], rate_limit: { requests: 5, per_s: 10 } },
    });
    await has(
      page.locator(".facts"),
      /created.*X-Api-Key.*value hidden.*5 requests in 10 seconds/s,
    );
    expect(await page.content()).not.toContain("a-secret-value");

    // What is left as it is stays; what is emptied goes.
    await button("Edit").click();
    await dialog().getByLabel("Description").fill("of the shop");
    await button("Save").click();
    await has(page.locator(".facts"), "of the shop");
    expect(await record()).toMatchObject({ header_names: ["X-Api-Key"] });
    await button("Edit").click();
    await dialog()
      .getByLabel(/All, also/)
      .check();
    for (const name of ["Header", "Requests at most", "in seconds"])
      await dialog().getByLabel(name).fill("");
    await button("Save").click();
    await has(page.locator(".facts"), /Event types\s*all/);
    expect(await record()).toMatchObject({ event_types: null, header_names: [], rate_limit: null });
  });

  test("a paused endpoint says what waits for it; activated, it gets that", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const { id } = await endpoint();
    const { page, button, deliveries, row, link, glance } = await visit(owner.link);
    await link("Endpoints").click();
    await row("Shop backend").click();
    // An answer from before the change that arrives after it.
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { promise: taken, resolve: take } = Promise.withResolvers<void>();
    const holdBack = async (route: Route) => {
      const response = await route.fetch();
      take();
      await released;
      await route.fulfill({ response });
    };
    await page.route("**/endpoint?*", holdBack, { times: 1 });
    await link("‹ Endpoints").click();
    await page.evaluate("location.reload()");
    await taken;
    await owner.call("POST", `/endpoint/${id}/pause`);
    release();
    await row("Shop backend").click();
    await todo(id, "meanwhile");
    await page.reload();
    await has(page.locator(".head .pill"), "paused");
    await has(
      page.locator(".note"),
      "what happens meanwhile is held, and sent once you activate it. 1 delivery waits for it.",
    );
    await has(deliveries(), /held.*meanwhile/s);
    expect(scene().arrivals).toEqual([]);
    // The picture is of what was sent: held ones do not count.
    expect(await page.locator(".picture").count()).toBe(0);
    await link("‹ Endpoints").click();
    await has(row("Shop backend"), "1 delivery waits");
    await row("Shop backend").click();
    await button("Activate").click();
    await has(page.locator(".head .pill"), "active");
    await scene().letTimePass();
    await scene().sweep();
    await glance();
    await has(deliveries(), /delivered.*meanwhile/s);
    await has(page.locator("figcaption"), "The only one was delivered");
    await button("Pause").click();
    await has(page.locator(".head .pill"), "paused");
  });

  test("rotates a secret with an overlap, in which both sign; removes an endpoint after confirmation", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const { id, secret } = await endpoint();
    const { page, button, dialog, row, said, link } = await visit(owner.link);
    await link("Endpoints").click();
    await row("Shop backend").click();
    await button("Rotate secret").click();
    await dialog().getByLabel("Overlap").fill("1000");
    await button("Rotate").click();
    await has(page.locator("#overlap_hours-wrong"), "at most 168");
    await dialog().getByLabel("Overlap").fill("48");
    await button("Rotate").click();
    await has(dialog(), "signed with both secrets");
    const fresh = (await page.locator("#new-secret").textContent()) ?? "";
    expect(fresh).not.toBe(secret);
    await button("Python").click();
    await has(dialog().locator("pre"), "def verify");
    await button("Node.js").click();
    await button("Copy the check").click();
    await said("Copied the check");
    const code = await clipboard(page);
    await button("I have stored the secret").click();
    await todo(id, "signed twice");
    await scene().arrived("/ok");
    const [webhook] = scene().arrivals;
    expect(await check(code, secret, webhook!)).toBe("true");
    expect(await check(code, fresh, webhook!)).toBe("true");

    await button("Remove").click();
    await has(dialog(), "This cannot be undone");
    await button("Cancel").click();
    await dialog().waitFor({ state: "hidden" });
    await button("Remove").click();
    await dialog().getByRole("button", { name: "Remove" }).click();
    await page.getByRole("heading", { name: "No endpoints yet" }).waitFor();
    expect((await owner.call("GET", "/endpoint")).body).toEqual({ data: [] });
  });

  test("shows since when one fails and what it answered last, how many do, and its last deliveries as a picture", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const { id } = await endpoint("/later", "Receiver");
    await endpoint("/ok", "Another");
    await todo(id, "arrives");
    await scene().arrived("/later");
    scene().failing.add("/later");
    await todo(id, "is refused");
    await scene().arrived("/later", 4);
    const { page, link, row } = await visit(owner.link, { clock: true });
    await has(row("is refused"), "failed");
    await has(page.locator(".badge"), "1 failing");
    await link("Endpoints").click();
    await has(page.locator(".note"), "1 of 2 failing.");
    await has(row("Receiver"), /failing for \d+ s: The endpoint answered 500.*failing/s);
    // What needs care comes first.
    expect(await page.locator(".row strong").allTextContents()).toEqual(["Receiver", "Another"]);
    await row("Receiver").click();
    await has(
      page.locator(".note"),
      /Failing for \d+ s, since \d\d:\d\d:\d\d: The endpoint answered 500\./,
    );
    await has(page.locator("figcaption"), "1 of the last 2 delivered");
    const bar = page.locator(".bars i[data-tone]");
    expect(await bar.evaluateAll((all) => all.map((one) => one.getAttribute("data-tone")))).toEqual(
      ["good", "bad"],
    );
    await bar.last().hover();
    await has(page.locator("figcaption"), /^failed: is refused, .*, 3 tries$/);
    await page.mouse.move(0, 0);
    await page.getByRole("slider").press("ArrowLeft");
    await page.getByRole("slider").press("ArrowLeft");
    await has(page.locator("figcaption"), /^delivered: arrives, .*, 1 try$/);
    await page.getByRole("slider").press("Enter");
    await has(page.locator(".head .pill"), "delivered");

    scene().failing.delete("/later");
    await todo(id, "arrives again");
    await scene().arrived("/later", 5);
    await page.goBack();
    await hasLater(page.locator(".head .pill"), "active");
  });

  test("finds endpoints by their words and sorts them; both live in the address", async () => {
    const { owner, endpoint } = await scene().newcomer();
    for (const name of ["Shop", "Accounting", "Warehouse"]) await endpoint("/ok", name);
    const { page, link, row } = await visit(owner.link);
    const names = () => page.locator(".row strong").allTextContents();
    await link("Endpoints").click();
    await row("Shop").waitFor();
    expect(await names()).toEqual(["Accounting", "Shop", "Warehouse"]);
    await page.getByLabel("Sort by").selectOption("newest first");
    await has(page.locator(".row").first(), "Warehouse");
    expect(await names()).toEqual(["Warehouse", "Accounting", "Shop"]);
    await page.getByLabel("Search").fill("HO");
    await row("Accounting").waitFor({ state: "detached" });
    expect(await names()).toEqual(["Warehouse", "Shop"]);
    expect(await page.evaluate<string>("document.activeElement.type")).toBe("search");
    await page.reload();
    await row("Shop").waitFor();
    expect(await names()).toEqual(["Warehouse", "Shop"]);
    await page.getByLabel("Search").fill("nothing like it");
    await page.getByRole("heading", { name: "No matching endpoint" }).waitFor();
  });
}
