// Filters, which live in the address, while it is changing: against an API in memory.
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Fixture, fixtureDelivery, fixtureEndpoint, startFixture } from "./fixture.ts";
import { has, type Visit } from "./visit.ts";

/** Registers these tests. */
export function addressTests(visit: Visit) {
  let fixture: Fixture;

  beforeAll(async () => {
    fixture = await startFixture();
    fixture.world.endpoints = ["Shop", "Accounting", "Warehouse"].map((name, at) =>
      fixtureEndpoint(at, { name }),
    );
    fixture.world.deliveries = ["created", "updated"].map((event_type, at) =>
      fixtureDelivery(at + 1, { event_type, status: "failed", title: event_type }),
    );
  });
  afterAll(() => fixture.close());

  /**
   * Opens an address, follows a link, and gives a control a value before the browser has told the page of the new
   * address, which it does in a task of its own.
   */
  async function inBetween(address: string, link: string, label: string, value: string) {
    const visited = await visit(`${fixture.url}portal/${address}`);
    const { page } = visited;
    await page.getByLabel(label).waitFor();
    await page.locator(link).first().waitFor();
    await page.evaluate(`{
      const label = [...document.querySelectorAll("label")].find((one) => one.textContent.trim().startsWith("${label}"));
      let isTold = false;
      addEventListener("hashchange", () => { isTold = true; }, { once: true });
      document.querySelector("${link}").click();
      if (isTold) throw new Error("The page has been told already.");
      label.control.value = "${value}";
      label.control.dispatchEvent(new Event(label.control.matches("select") ? "change" : "input", { bubbles: true }));
    }`);
    return { ...visited, hash: () => new URL(page.url()).hash };
  }

  test.each([
    ["#/deliveries?status=failed&type=created", "#/deliveries?type=updated"],
    ["#/events?status=failed&type=created", "#/events?type=updated"],
    ["#/endpoint/endpoint-0?status=failed&type=created", "#/endpoint/endpoint-0?type=updated"],
  ])("one that is chosen then in %s is added to the new address", async (from, to) => {
    const { page, hash } = await inBetween(from, "a.all", "Type", "updated");
    await page.waitForURL((url) => url.hash === to);
    await expect.poll(() => page.getByLabel("Status").inputValue()).toBe("");
    expect(await page.getByLabel("Type").inputValue()).toBe("updated");
    expect(hash()).toBe(to);
  });

  test("an order that is chosen then is added to the new address", async () => {
    const { page, hash } = await inBetween(
      "#/endpoints?q=shop",
      "nav a[href='#/endpoints']",
      "Sort by",
      "newest",
    );
    await has(page.locator(".row").first(), "Warehouse");
    expect(hash()).toBe("#/endpoints?sort=newest");
  });

  test.each([
    ["#/deliveries", "Status", "failed"],
    ["#/endpoints", "Search", "shop"],
  ])("one of %s does not take back a reader who has just left it", async (from, label, value) => {
    const { page, hash } = await inBetween(from, "nav a[href='#/types']", label, value);
    await page.getByRole("heading", { name: "Event types" }).waitFor();
    expect(hash()).toBe("#/types");
  });
}
