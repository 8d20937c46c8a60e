// Sending many again: the count before, the progress after, and what failed again.
import { expect, test } from "vitest";
import type { PortalScene } from "./scene.ts";
import { has, hasLater, type Visit } from "./visit.ts";

/** Registers these tests; the scene exists once they run. */
export function recoverTests(scene: () => PortalScene, visit: Visit) {
  test("resends what failed of one endpoint and of all, with the count before and the progress after", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const first = await endpoint("/later", "Shop backend");
    const second = await endpoint("/fail", "Warehouse");
    scene().failing.add("/later");
    for (const item of ["one", "two", "three"]) await todo(first.id, item);
    await todo(second.id, "four");
    await scene().arrived("/later", 9);
    await scene().arrived("/fail", 3);
    const { page, button, dialog, row } = await visit(owner.link, { clock: true });
    for (const item of ["one", "two", "three", "four"]) await has(row(item), "failed");
    scene().failing.delete("/later");

    await button("Resend failed …").click();
    await has(dialog(), "4 failed deliveries will be sent again");
    await dialog().getByLabel("Endpoint").selectOption("Shop backend");
    await has(dialog(), "3 failed deliveries to Shop backend will be sent again");
    await dialog().getByLabel("Which").selectOption({ index: 1 });
    await has(dialog(), "There is none to Shop backend in that time.");
    expect(await button("Resend").getAttribute("aria-disabled")).toBe("true");
    await dialog().getByLabel("Which").selectOption({ index: 0 });
    await button("Resend 3").click();
    await dialog().waitFor({ state: "hidden" });
    await has(page.locator(".round"), "3 deliveries queued.");
    await scene().sweep();
    await hasLater(page.locator(".round"), "3 deliveries sent again: all arrived.");
    await hasLater(row("three"), "delivered");
    await has(row("four"), "failed");
    await page.locator(".round button").click();

    // What fails again is said, too.
    await button("Resend failed …").click();
    await button("Resend 1").click();
    await has(page.locator(".round"), "1 delivery queued.");
    await scene().sweep();
    await hasLater(row("four"), "failed");
    await hasLater(page.locator(".round"), "1 delivery sent again: 1 failed again.");
  });
}
