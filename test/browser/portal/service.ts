// Polls and what they cost; what is said while the service that sends webhooks does not answer.
import { expect, test } from "vitest";
import { until } from "../../support/until.ts";
import type { PortalScene } from "./scene.ts";
import { has, type Visit } from "./visit.ts";

/** Registers these tests; the scene exists once they run. */
export function serviceTests(scene: () => PortalScene, visit: Visit) {
  const api = (requests: string[]) =>
    requests.filter((url) => !new URL(url).pathname.startsWith("/portal/"));

  test.each(["#/deliveries", "#/endpoints", "#/events", "an endpoint"])(
    "at rest %s asks at most ten times a minute, and never while it is hidden",
    async (address) => {
      const { owner, endpoint, todo } = await scene().newcomer();
      const { id } = await endpoint();
      await todo(id, "arrives");
      await scene().arrived("/ok");
      const { page, requests, isQuiet, goTo } = await visit(owner.link, { clock: true });
      await page.locator(".row").first().waitFor();
      await goTo(address === "an endpoint" ? `#/endpoint/${id}` : address);
      const see = (state: string) =>
        page.evaluate(`Object.defineProperty(document, "visibilityState", { value: "${state}", configurable: true });
          document.dispatchEvent(new Event("visibilitychange"))`);
      const pass = async (ms: number, step: number) => {
        for (let passed = 0; passed < ms; passed += step) {
          await page.clock.runFor(step);
          await until("the answers", isQuiet);
        }
      };
      await page.clock.pauseAt(Date.now() + 60_000);
      await pass(90_000, 5_000);
      const before = requests.length;
      await pass(60_000, 1_000);
      const asked = api(requests.slice(before));
      console.info(`portal: ${address} at rest: ${asked.length} requests in 60 s`);
      expect(asked.length).toBeGreaterThan(5);
      expect(asked.length).toBeLessThanOrEqual(10);
      await see("hidden");
      const hidden = requests.length;
      await page.clock.runFor(600_000);
      expect(requests.slice(hidden)).toEqual([]);
      await see("visible");
      await until("a question", () => requests.length > hidden);
    },
  );

  test("while something changes it asks about every two seconds, and then less and less", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const { id } = await endpoint();
    await todo(id, "the first");
    await scene().arrived("/ok");
    const { page, requests, isQuiet } = await visit(owner.link, { clock: true });
    await page.locator(".row").first().waitFor();
    await page.clock.pauseAt(Date.now() + 60_000);
    const asked = async (seconds: number, change: (second: number) => Promise<unknown>) => {
      const before = requests.length;
      for (let second = 0; second < seconds; second++) {
        await change(second);
        await page.clock.runFor(1_000);
        await until("the answers", isQuiet);
      }
      return api(requests.slice(before)).length;
    };
    await asked(5, async () => {});
    const busy = await asked(
      30,
      async (second) => second % 2 === 0 && (await todo(id, `${second}`)),
    );
    const after = await asked(60, async () => {});
    console.info(`portal: ${busy} requests in 30 s of changes, ${after} in the 60 s after them`);
    expect(busy).toBeGreaterThan(10);
    expect(busy).toBeLessThanOrEqual(20);
    expect(after).toBeLessThanOrEqual(12);
  });

  test("says that webhooks are delayed, what waits and why, is not live then, and what works still does", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const { id } = await endpoint();
    await todo(id, "before");
    await scene().arrived("/ok");
    const { page, button, link, dialog, row, said, glance } = await visit(owner.link);
    await has(row("before"), "delivered");
    await scene().convoy.setFaults({ status: 503 });
    await todo(id, "meanwhile");
    await scene().letTimePass();
    await scene()
      .sweep()
      .catch(() => {});
    const past = "UPDATE event SET occurred_at = occurred_at - 240000 WHERE owner = ?";
    await scene().db.prepare(past).bind(owner.name).run();
    await glance();
    await has(
      page.locator(".note"),
      /not being sent at the moment.*1 delivery waits to be sent, the oldest for 4 min.*Nothing is lost/s,
    );
    await has(page.locator(".live"), "webhooks are delayed");
    expect(await page.locator(".live").getAttribute("data-live")).toBe("false");
    await link("Show what waits").click();
    await has(row("meanwhile"), /pending.*503/s);
    await row("meanwhile").click();
    await has(page.locator("#meaning"), /Not sent yet.*503.*tried again by itself/);
    await page.goBack();
    await link("Show all").click();
    await row("before").click();
    await has(
      page.locator("section[aria-labelledby=tries] .note"),
      "The tries cannot be shown at the moment.",
    );

    await link("Endpoints").click();
    await row("Shop backend").click();
    await button("Pause").click();
    await said("Shop backend is paused");
    await button("Activate").click();
    await said("Shop backend is active");
    await button("Edit").click();
    await dialog().getByLabel("Name").fill("Warehouse");
    await button("Save").click();
    await said("Saved. It is not in force yet");
    await has(page.locator(".note"), "not in force yet");
    await link("‹ Endpoints").click();
    await button("Add endpoint").click();
    await dialog().getByLabel("Name").fill("Another");
    await dialog().getByLabel("URL").fill("https://example.com/hook");
    await button("Add").click();
    await has(dialog().getByRole("alert"), /503/);
    expect(await dialog().getByLabel("Name").inputValue()).toBe("Another");
    await button("Cancel").click();

    await scene().convoy.setFaults({});
    await scene().letTimePass();
    await scene().db.prepare("UPDATE endpoint SET due_at = 0 WHERE due_at IS NOT NULL").run();
    await scene().db.prepare("UPDATE cron_state SET breaker_until = 0").run();
    await scene().sweep();
    await link("Deliveries").click();
    await glance();
    await has(page.locator(".live"), /^live$/);
    await has(row("meanwhile"), "delivered");
  });
}
