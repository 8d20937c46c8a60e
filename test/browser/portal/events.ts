// Events with the sum of their deliveries, test events, and the catalogue of types.
import { expect, test } from "vitest";
import type { PortalScene } from "./scene.ts";
import { has, type Visit } from "./visit.ts";

/** Registers these tests; the scene exists once they run. */
export function eventsTests(scene: () => PortalScene, visit: Visit) {
  test("an event is never green while one of its deliveries failed; what failed is sent again", async () => {
    const { owner, endpoint } = await scene().newcomer();
    await endpoint("/ok", "Shop backend");
    await endpoint("/later", "Warehouse");
    scene().failing.add("/later");
    await owner.call("POST", "/todo", { item: "for both" });
    await scene().arrived("/ok");
    await scene().arrived("/later", 3);
    const { page, button, link, row, deliveries, said } = await visit(owner.link);
    await has(deliveries(), "failed");
    await link("Events").click();
    await has(row("for both"), /failed.*for both.*1 failed, 1 delivered/s);
    await row("for both").click();
    await has(page.locator(".note"), "1 of 2 deliveries did not arrive.");
    await has(deliveries().filter({ hasText: "Shop backend" }), "delivered");
    await has(deliveries().filter({ hasText: "Warehouse" }), "failed");
    scene().failing.delete("/later");
    await button("Send what failed again").click();
    await said("Sent again, with the same event id");
    await has(page.locator(".head .pill"), "delivered");
    await has(page.locator(".note"), "Every endpoint that wanted it has it.");
    expect(scene().arrivals.filter(({ url }) => url === "/ok")).toHaveLength(1);
  });

  test("without an endpoint it says that nobody wanted it; new ones wait beside the list", async () => {
    const { owner } = await scene().newcomer();
    await owner.call("POST", "/todo", { item: "for nobody" });
    const { link, row, news, glance } = await visit(owner.link);
    await link("Events").click();
    await has(row("for nobody"), /not sent.*No endpoint wanted it/s);
    await row("for nobody").click();
    await link("‹ Events").click();
    const { id } = (
      await owner.call<{ endpoint: { id: string } }>("POST", "/endpoint", {
        name: "Shop",
        url: `${scene().receiverUrl}/ok`,
      })
    ).body.endpoint;
    await owner.call("POST", `/todo?endpoint=${id}`, { item: "the next" });
    await glance();
    await has(news(), "Show 1 new event");
    await news().click();
    await has(row("the next"), "delivered");
  });

  test("sends a test event of a chosen type, whose body is shown before and arrives as a test", async () => {
    const { owner, endpoint } = await scene().newcomer();
    const { id } = await endpoint();
    const { page, button, dialog, link, row, said } = await visit(owner.link);
    await link("Endpoints").click();
    await row("Shop backend").click();
    await button("Send a test event …").click();
    await dialog().getByLabel("Type").selectOption("deleted");
    await has(dialog().getByRole("region", { name: "Body" }), /"event": "deleted"/);
    await button("Send").click();
    await said("Test event sent");
    await has(
      page.locator(".test"),
      /Test of deleted.*accepted it.*The receiver answered HTTP 200/s,
    );
    const [arrived] = scene().arrivals;
    expect(JSON.parse(arrived?.body ?? "")).toMatchObject({ event: "deleted", test: true });
    // Of an endpoint that is paused it would wait: the API says why not.
    await owner.call("POST", `/endpoint/${id}/pause`);
    await button("Send a ping").click();
    await has(page.locator(".said"), /active/i);
  });

  test("the catalogue has every type with the body that it sends", async () => {
    const { owner } = await scene().newcomer();
    const { page, link } = await visit(owner.link);
    await link("Types").click();
    const all = (await owner.call<{ data: { type: string; body: object }[] }>("GET", "/event/type"))
      .body.data;
    for (const { type, body } of all) {
      const code = page.getByRole("region", { name: `Body of ${type}`, exact: true });
      expect(JSON.parse((await code.textContent()) ?? "")).toEqual(body);
    }
    expect(all.length).toBeGreaterThan(3);
  });
}
