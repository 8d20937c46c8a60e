// The operators' page: who is failing, what waits, how the service is; no contents.
import { expect, test } from "vitest";
import type { PortalScene } from "./scene.ts";
import { has, type Visit } from "./visit.ts";

/** Registers these tests; the scene exists once they run. */
export function operatorTests(scene: () => PortalScene, visit: Visit) {
  test("shows operators who is failing, what is lost, the breaker and the cron's last line, without contents", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const { id } = await endpoint("/fail", "A secret name");
    await todo(id, "a secret thing");
    await scene().arrived("/fail", 3);
    await owner.call("GET", "/delivery");
    await scene().sweep();
    const { page, link } = await visit(await scene().operatorLink());
    await link("All owners").click();
    await has(
      page.locator("section[aria-labelledby=failing] .row"),
      new RegExp(`${owner.name}.*failing`, "s"),
    );
    await has(
      page.locator("section[aria-labelledby=lost] .row"),
      new RegExp(`failed.*${owner.name}`, "s"),
    );
    await has(page.locator("section[aria-labelledby=health]"), /Breaker.*closed/s);
    await has(page.locator("section[aria-labelledby=cron]"), "subrequests");
    await has(page.locator(".note"), /failed or died in the last day/);
    expect(await page.content()).not.toContain("secret");
  });

  test("shows owners nothing of it", async () => {
    const { owner } = await scene().newcomer();
    const { page, goTo, link } = await visit(owner.link);
    await link("Endpoints").waitFor();
    expect(await link("All owners").count()).toBe(0);
    await goTo("#/operators");
    await has(page.locator(".note"), /operator/);
  });
}
