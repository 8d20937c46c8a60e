// The page of deliveries, and one of them: what failed, since when, why, and send it again.
import { expect, test } from "vitest";
import { until } from "../../support/until.ts";
import { EVIL, type PortalScene } from "./scene.ts";
import { has, hasLater, type Visit } from "./visit.ts";

/** Registers these tests; the scene exists once they run. */
export function deliveriesTests(scene: () => PortalScene, visit: Visit) {
  test("opens with the deliveries over all endpoints; filters live in the address and survive a reload", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const good = await endpoint("/ok", "Shop backend");
    const bad = await endpoint("/fail", "Warehouse");
    await todo(good.id, "arrives");
    await scene().arrived("/ok");
    await todo(bad.id, "is refused");
    await scene().arrived("/fail", 3);
    const { page, deliveries, row, link } = await visit(owner.link);
    await has(row("is refused"), /failed.*is refused.*created.*Warehouse.*answered 500.*3 tries/s);
    await has(row("arrives"), /delivered.*arrives.*created.*Shop backend.*1 try/s);
    expect(await deliveries().locator(".about").allTextContents()).toEqual([
      "is refused",
      "arrives",
    ]);

    const shown = async (titles: string[], address: string) => {
      await until(`only ${titles}`, async () => {
        const all = await deliveries().locator(".about").allTextContents();
        return JSON.stringify(all) === JSON.stringify(titles);
      });
      expect(new URL(page.url()).hash).toBe(address);
    };
    await page.getByLabel("Status").selectOption("failed");
    await shown(["is refused"], "#/deliveries?status=failed");
    await page.reload();
    await shown(["is refused"], "#/deliveries?status=failed");
    await link("Show all").click();
    await page.getByLabel("Endpoint").selectOption("Shop backend");
    await shown(["arrives"], `#/deliveries?endpoint=${good.id}`);
    await page.getByLabel("Type").selectOption("ping");
    await page.getByRole("heading", { name: "No matching deliveries" }).waitFor();
    await link("Show all deliveries").click();
    await page.getByLabel("Time").selectOption("last hour");
    await shown(["is refused", "arrives"], "#/deliveries?since=1h");
    await page.getByLabel("Time").selectOption("between …");
    await page.getByLabel("from").waitFor();
    await page.goBack();
    await shown(["is refused", "arrives"], "#/deliveries?since=1h");
  });

  test("what is new waits beside the list and moves nothing; statuses change in place", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const { id } = await endpoint("/later");
    await todo(id, "first");
    await scene().arrived("/later");
    const { page, row, news, glance, deliveries } = await visit(owner.link);
    await has(row("first"), "delivered");
    const before = await row("first").boundingBox();
    await todo(id, "second");
    await glance();
    await has(news(), "Show 1 new delivery");
    expect(await row("first").boundingBox()).toEqual(before);
    expect(await row("second").count()).toBe(0);
    await news().click();
    await has(row("second"), "delivered");
    expect(await deliveries().locator(".about").allTextContents()).toEqual(["second", "first"]);
    expect(await page.locator(".news button").count()).toBe(0);
  });

  test("shows a failure within ten seconds at rest, in the list of what failed too", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const { id } = await endpoint("/fail", "Warehouse");
    const { page, row, news, isQuiet } = await visit(owner.link, { clock: true });
    await page.getByRole("heading", { name: "Nothing has been sent yet" }).waitFor();
    await page.clock.pauseAt(Date.now() + 60_000);
    const pass = async (seconds: number) => {
      for (let second = 0; second < seconds; second++) {
        await page.clock.runFor(1_000);
        await until("the answers", isQuiet);
      }
    };
    await pass(30);
    await todo(id, "is refused");
    await scene().arrived("/fail", 3);
    await pass(10);
    expect(await row("is refused").textContent()).toContain("failed");
    await page.getByLabel("Status").selectOption("failed");
    await has(row("is refused"), "failed");
    await todo(id, "is refused too");
    await scene().arrived("/fail", 6);
    await page.evaluate("location.hash = '#/deliveries'");
    await hasLater(news().or(row("refused too")), /refused too|new/);
    await page.goBack();
    await hasLater(news().or(row("refused too")), /refused too|new/);
  });

  test("an opened one shows what was sent, each try with its answer, and is sent again at once", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const headers = { "X-Api-Key": "a-secret-value" };
    const { id } = await endpoint("/later", "Receiver", { headers });
    scene().failing.add("/later");
    await todo(id, "is refused");
    await scene().arrived("/later", 3);
    const { page, button, link, row, said, deliveries } = await visit(owner.link);
    await has(row("is refused"), "failed");
    await row("is refused").click();
    await has(page.locator("#meaning"), /answered 500.*never accepted it.*send it again/);
    const tries = page.locator(".attempt");
    await tries.nth(2).waitFor();
    expect(await tries.locator(".outcome").allTextContents()).toEqual(Array(3).fill("HTTP 500"));
    await has(tries.first(), /3.*HTTP 500.*took \d+ ms/s);
    // The receiver's text is shown as text, whatever it is.
    expect(await tries.first().locator("pre").textContent()).toBe(EVIL);
    expect(await page.locator("main img, main script").count()).toBe(0);
    const body = (await page.getByRole("region", { name: "Body" }).textContent()) ?? "";
    expect(JSON.parse(body)).toMatchObject({ event: "created", todo: { item: "is refused" } });
    await page.locator("summary", { hasText: /^Headers$/ }).click();
    await has(page.locator("section[aria-labelledby=sent] dl"), /X-Api-Key.*\[hidden\]/is);
    await has(page.locator("section[aria-labelledby=sent] dl"), /X-Convoy-Signature.*v1=/is);
    expect(await page.content()).not.toContain("a-secret-value");

    scene().failing.delete("/later");
    await button("Send again").click();
    await said("Sent again, with the same event id");
    await has(page.locator(".head .pill"), "delivered");
    await has(tries.first(), "HTTP 200");
    const ids = scene().arrivals.map(({ body: sent }) => JSON.parse(sent).event_id);
    expect([ids.length, new Set(ids).size]).toEqual([4, 1]);
    await link("Show the event").click();
    await has(page.getByRole("heading", { level: 1 }), "is refused");
    await has(deliveries(), /delivered.*Receiver/s);
    await page.goBack();
    await page.goBack();
    expect(await page.evaluate<string>("document.activeElement.className")).toContain("row");
  });

  test("one that is on its way cannot be sent again, and says why", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const { id } = await endpoint();
    await owner.call("POST", `/endpoint/${id}/pause`);
    await todo(id, "waits");
    const { page, button, row } = await visit(owner.link);
    await has(row("waits"), "held");
    await row("waits").click();
    await has(page.locator("#meaning"), "sent once the endpoint is active again");
    expect(await button("Send again").getAttribute("aria-disabled")).toBe("true");
    await has(page.locator("section[aria-labelledby=tries]"), "Not sent yet.");
  });
}
