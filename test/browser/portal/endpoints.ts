// What an owner does with endpoints and their deliveries.
import type { Route } from "playwright-core";
import { expect, test } from "vitest";
import { clipboard } from "../browser.ts";
import { EVIL, type PortalScene } from "./scene.ts";
import { check, has, type Visit } from "./visit.ts";

/** Registers these tests; the scene exists once they run. */
export function endpointsTests(scene: () => PortalScene, visit: Visit) {
  test("adds an endpoint: errors are shown beside the fields, the secret once, and a ping arrives", async () => {
    const { owner } = await scene().newcomer();
    const { page, button, dialog, deliveries, said } = await visit(owner.link);
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
    await has(page.locator(".ping"), /Arrived\. The receiver answered 200 OK after \d+ ms/);
    await has(deliveries(), /Success.*ping.*1 attempt of 3/s);
    const [webhook] = scene().arrivals;
    expect(await check(code, secret, webhook!)).toBe("true");
    expect(await check(code, "another", webhook!)).toBe("false");
    expect(await check(code, "", webhook!)).toBe("false");
  });

  test("edits, pauses and activates an endpoint; an event during the pause arrives after it", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const { id } = await endpoint();
    const { page, button, dialog, deliveries, row, glance } = await visit(owner.link);
    await row("Shop backend").click();
    await button("Edit").click();
    await dialog().getByLabel("Name").fill("Warehouse");
    await dialog().getByLabel("URL").fill("nonsense");
    await button("Save").click();
    await has(page.locator("#url-wrong"), "must begin with https://");
    await dialog().getByLabel("URL").fill(`${scene().receiverUrl}/moved`);
    await button("Save").click();
    await page.getByRole("heading", { name: "Warehouse" }).waitFor();
    expect((await owner.call("GET", `/endpoint/${id}`)).body).toMatchObject({
      name: "Warehouse",
      url: `${scene().receiverUrl}/moved`,
    });

    // An answer from before the change that arrives after it.
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { promise: taken, resolve: take } = Promise.withResolvers<void>();
    const holdBack = async (route: Route) => {
      const response = await route.fetch();
      take();
      await released;
      await route.fulfill({ response });
    };
    await page.route(`**/endpoint/${id}`, holdBack, { times: 1 });
    await glance();
    await taken;
    await button("Pause").click();
    await has(page.locator(".pill").first(), "paused");
    const late = page.waitForResponse(`**/endpoint/${id}`);
    release();
    await (await late).finished();
    await page.evaluate("new Promise(requestAnimationFrame)");
    expect(await page.locator(".pill").first().textContent()).toBe("paused");
    await has(page.locator(".note"), "kept, and sent once you activate it");
    await todo(id, "meanwhile");
    await glance();
    await has(deliveries(), "Discarded");
    expect(scene().arrivals).toEqual([]);
    await button("Activate").click();
    await has(page.locator(".pill").first(), "active");
    await has(deliveries(), "Success");
    expect(scene().arrivals.map(({ url }) => url)).toEqual(["/moved"]);
  });

  test("rotates a secret with an overlap, in which both sign; removes an endpoint after confirmation", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const { id, secret } = await endpoint();
    const { page, button, dialog, row, said } = await visit(owner.link);
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

  test("shows why deliveries fail, attempt by attempt, and sends one again once the receiver is fixed", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const { id } = await endpoint("/later", "Receiver");
    await todo(id, "arrives");
    await scene().arrived("/later");
    scene().failing.add("/later");
    await todo(id, "is refused");
    await scene().arrived("/later", 4);
    const { page, button, link, deliveries, row, said } = await visit(owner.link);
    await has(row("Receiver").locator(".wrong"), "1 of the last 2 deliveries failed");
    await row("Receiver").click();
    await has(page.locator(".picture"), "1 of the last 2 succeeded");

    const bar = page.locator(".bars i[data-tone]");
    expect(await bar.evaluateAll((all) => all.map((one) => one.getAttribute("data-tone")))).toEqual(
      ["good", "bad"],
    );
    await bar.last().hover();
    await has(page.locator("figcaption"), /^Failure: created, .*, 3 attempts$/);
    await page.mouse.move(0, 0);
    await page.getByRole("slider").press("ArrowLeft");
    await page.getByRole("slider").press("ArrowLeft");
    await has(page.locator("figcaption"), /^Success: created, .*, 1 attempt$/);
    await page.getByRole("slider").press("ArrowRight");
    await page.getByRole("slider").press("Enter");
    const attempts = page.locator(".attempt");
    await attempts.nth(2).waitFor();
    expect(await attempts.locator(".outcome").allTextContents()).toEqual(
      Array(3).fill("500 Internal Server Error"),
    );
    // The receiver's text is shown as text, whatever it is.
    expect(await attempts.first().locator("pre").textContent()).toBe(EVIL);
    expect(await page.locator("main img, main script").count()).toBe(0);

    scene().failing.delete("/later");
    // Only what is confirmed can be sent again: as if the cron had seen it in Convoy's list.
    const confirm = `UPDATE event SET state = 'confirmed', stored = 1, finished_at = 1, due_at = NULL
      WHERE owner = ? AND state = 'accepted'`;
    await scene().db.prepare(confirm).bind(owner.name).run();
    await button("Send again").click();
    await said("sent again with the same event id");
    await has(deliveries().first(), "Success");
    await link("Show the event").click();
    await has(page.getByRole("heading", { level: 1 }), "is refused");
    await has(deliveries(), /Success.*Receiver/s);
    const ids = scene().arrivals.map(({ body }) => JSON.parse(body).event_id);
    expect([ids.length, new Set(ids).size]).toEqual([5, 2]);
  });

  test("lists as many endpoints as an owner may have; a change shows, and each round asks little", async () => {
    const { owner, endpoint } = await scene().newcomer();
    const ids: string[] = [];
    for (let i = 0; i < 50; i++) ids.push((await endpoint("/ok", `Shop ${i}.`)).id);
    const { page, requests, row, glance } = await visit(owner.link);
    await has(row("Shop 49."), "nothing sent yet");
    expect(await page.locator(".row.endpoint").count()).toBe(50);
    const begun = performance.now();
    await owner.call("POST", `/endpoint/${ids[49]}/pause`);
    await has(row("Shop 49."), "paused");
    console.info(`50 endpoints: a change shows after ${Math.round(performance.now() - begun)} ms`);
    // Until the pictures of all lines have been read.
    const pictures = () => new Set(requests.filter((url) => url.includes("/delivery?"))).size;
    while (pictures() < 50) await glance();
    const rounds = requests.join("\n").split("/endpoint?limit=1000");
    const sizes = rounds.map((round) => round.split("/delivery?").length - 1);
    expect(Math.max(...sizes)).toBe(6);
  });
}
