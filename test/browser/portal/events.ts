// The event log, live updates, and what still works while Convoy is down.
import { expect, test } from "vitest";
import { until } from "../../support/until.ts";
import type { PortalScene } from "./scene.ts";
import { has, type Visit } from "./visit.ts";

/** Registers these tests; the scene exists once they run. */
export function eventsTests(scene: () => PortalScene, visit: Visit) {
  test("finds events by type and state, says why they were given up, replays one and then all", async () => {
    const { owner, endpoint, todo, giveUp } = await scene().newcomer();
    const { id } = await endpoint();
    for (const item of ["kept", "lost 1", "lost 2", "lost 3"]) await todo(id, item);
    await owner.call("POST", `/endpoint/${id}/ping`);
    await scene().arrived("/ok", 5);
    await giveUp("%lost%");
    const { page, button, link, dialog, deliveries, row, said, glance } = await visit(owner.link);
    await has(page.locator(".note"), "3 events were given up.");
    await link("Show them").click();
    await has(page.locator(".filters"), "3 events");
    expect(await page.locator(".row .wrong").allTextContents()).toEqual(
      Array(3).fill("Convoy answered 413"),
    );
    await page.getByLabel("State").selectOption("all");
    await page.getByLabel("Type").selectOption("ping");
    await has(page.locator(".filters"), "1 event");
    await page.getByLabel("State").selectOption("dead");
    await page.getByRole("heading", { name: "No matching events" }).waitFor();
    await button("Show all events").click();
    await has(page.locator(".filters"), "5 events");

    await row("lost 1").click();
    await has(page.locator(".note"), /Convoy answered 413.*Given up/);
    await has(page.locator(".facts"), "Shop backend");
    await has(deliveries(), /Success.*Shop backend/s);
    await button("Replay").click();
    await has(page.locator(".pill").first(), "accepted");
    await page.goBack();
    await button("Replay all 2 dead").click();
    await has(dialog(), "Replay 2 dead events?");
    await dialog().getByRole("button", { name: "Replay all 2" }).click();
    await said("2 events queued");
    await scene().sweep();
    await glance();
    await has(page.locator(".filters"), "5 events");
    await until(
      "five accepted events",
      async () => (await page.locator(".row .pill", { hasText: "accepted" }).count()) === 5,
    );
    expect(await page.getByRole("button", { name: /Replay/ }).count()).toBe(0);
  });

  test("shows what changes elsewhere without a reload", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const { id } = await endpoint();
    const { page, deliveries, row } = await visit(owner.link);
    await row("Shop backend").click();
    await has(page.locator(".live"), "live");
    const started = performance.now();
    await todo(id, "from elsewhere");
    await has(deliveries(), "Success");
    console.info(`portal: shown ${Math.round(performance.now() - started)} ms after POST /todo`);
  });

  test("polls every two seconds while it is visible, and not while it is hidden", async () => {
    const { owner, endpoint } = await scene().newcomer();
    await endpoint();
    const { page, requests, isQuiet, row } = await visit(owner.link, { clock: true });
    await row("Shop backend").waitFor();
    const see = (state: string) =>
      page.evaluate(`Object.defineProperty(document, "visibilityState", { value: "${state}", configurable: true });
        document.dispatchEvent(new Event("visibilitychange"))`);
    await page.clock.pauseAt(Date.now() + 60_000);
    await until("the answers", isQuiet);
    const seen = requests.length;
    await until("a question", async () => {
      await page.clock.runFor(2_500);
      return requests.length > seen;
    });
    await until("the answers", isQuiet);
    const before = requests.length;
    await see("hidden");
    await page.clock.runFor(600_000);
    expect(requests.slice(before)).toEqual([]);
    await see("visible");
    await until("a question", () => requests.length > before);
  });

  test("with Convoy down, what can work still does, and the rest says why", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const { id } = await endpoint();
    await todo(id, "before");
    await scene().arrived("/ok");
    await scene().convoy.setFaults({ status: 503 });
    const { page, button, link, dialog, deliveries, row, said, glance } = await visit(owner.link);
    await row("Shop backend").click();
    await has(page.locator(".note"), /deliveries cannot be shown right now.*Convoy answered 503/);
    await button("Send a ping").click();
    await button("Pause").click();
    await said("Convoy answered 503");
    await link("Endpoints").first().click();
    await button("Add endpoint").click();
    await dialog().getByLabel("Name").fill("Another");
    await dialog().getByLabel("URL").fill("https://example.com/hook");
    await button("Add").click();
    await has(dialog().getByRole("alert"), /Convoy answered 503.*Try again/);
    expect(await dialog().getByLabel("Name").inputValue()).toBe("Another");
    await button("Cancel").click();
    // It gives up waiting for Convoy only after five seconds.
    await row("Shop backend").click();
    await has(
      page.locator(".ping"),
      /Not sent yet: Convoy answered 503\. It is retried automatically/,
    );
    await link("Endpoints").first().click();
    await scene()
      .db.prepare(
        "UPDATE event SET occurred_at = occurred_at - 240000 WHERE owner = ? AND type = 'ping'",
      )
      .bind(owner.name)
      .run();
    await glance();
    await has(
      page.locator(".note"),
      "1 event is waiting to be sent, for 4 min. Convoy answered 503. It is retried automatically.",
    );
    await link("Events").click();
    await has(row("before"), "accepted");
    await row("ping").click();
    await has(page.locator(".note"), /deliveries|They cannot be shown right now/i);

    await scene().convoy.setFaults({});
    await scene().letTimePass();
    await scene().sweep();
    await glance();
    await has(page.locator(".pill").first(), "accepted");
    await has(deliveries(), "Success");
  });
}
