// 50 endpoints, 10,000 deliveries, names and answers that are hostile, against an API in memory.
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { until } from "../../support/until.ts";
import { expectAccessible } from "./access.ts";
import {
  EVIL,
  type Fixture,
  fixtureDelivery,
  fixtureEndpoint,
  HOSTILE,
  startFixture,
} from "./fixture.ts";
import { has, type Visit } from "./visit.ts";

const HOUR_MS = 3_600_000;

/** Registers these tests. */
export function sizesTests(visit: Visit) {
  let fixture: Fixture;
  const open = (hash: string) => visit(`${fixture.url}portal/${hash}`);

  beforeAll(async () => {
    fixture = await startFixture();
  });
  afterAll(() => fixture.close());
  beforeEach(() => {
    const failing_since = new Date(Date.now() - 7 * HOUR_MS).toISOString();
    const failing = { failing_since, failing_error: EVIL };
    Object.assign(fixture.world, {
      gateway: "ok",
      waiting: null,
      attempts: [],
      endpoints: Array.from({ length: 50 }, (_, at) =>
        fixtureEndpoint(at, {
          name: HOSTILE[at] ?? `Endpoint ${at}`,
          ...(at % 8 === 3 ? failing : {}),
        }),
      ),
      deliveries: Array.from({ length: 10_000 }, (_, at) =>
        fixtureDelivery(at + 1, {
          endpoint_id: `endpoint-${at % 50}`,
          title: HOSTILE[at % 7] ?? `Todo ${at + 1}`,
          ...(at % 4 === 0 ? { status: "failed", error: EVIL, last_http_status: 500 } : {}),
        }),
      ),
    });
  });

  test("lists 10,000 deliveries page by page, without moving, as text whatever they are called", async () => {
    const { page, button, deliveries, news, glance } = await open("#/deliveries");
    await deliveries().nth(24).waitFor();
    const first = await deliveries().first().getAttribute("id");
    for (const rows of [75, 125, 175]) {
      await button("Show older").click();
      await deliveries()
        .nth(rows - 1)
        .waitFor();
    }
    expect(await deliveries().first().getAttribute("id")).toBe(first);
    await page.evaluate("scrollTo(0, 4000)");
    const place = await deliveries().nth(100).boundingBox();
    // More arrives than a poll can name.
    for (let at = 10_001; at <= 10_060; at++) fixture.world.deliveries.push(fixtureDelivery(at));
    await glance();
    await has(news(), "Show more than 25 new deliveries");
    expect(await deliveries().nth(100).boundingBox()).toEqual(place);
    await news().click();
    await has(deliveries().first(), "Todo 10060");
    expect(await page.title()).toBe("Deliveries · Webhooks");
    expect(await page.locator("main img, main script").count()).toBe(0);
  });

  test("lists 50 endpoints with one request, of which 6 fail, by what needs care", async () => {
    const { page, requests, row } = await open("#/endpoints");
    await has(page.locator(".note"), "6 of 50 failing.");
    expect(await page.locator(".row.endpoint").count()).toBe(50);
    await has(page.locator(".row").first(), "failing for 7 h");
    await page.getByLabel("Search").fill("Endpoint 4");
    await row("Endpoint 12").waitFor({ state: "detached" });
    expect(await page.locator(".row.endpoint").count()).toBe(10);
    const asked = requests.filter((url) => new URL(url).pathname === "/endpoint");
    expect(asked.length).toBe(1);
  });

  test("axe finds nothing, and nothing is wider than the window, with hostile names and answers", async () => {
    const request_headers = { "X-Api-Key": "[hidden]" };
    fixture.world.attempts = [
      {
        ...{ at: new Date(Date.now() - 400 * 24 * HOUR_MS).toISOString(), took_ms: 61_000 },
        ...{ http_status: 500, response: HOSTILE.join("\n"), error: EVIL, request_headers },
        response_headers: { [`X-${"a".repeat(300)}`]: "b".repeat(500) },
      },
    ];
    const { page, goTo, deliveries } = await open("#/deliveries");
    await deliveries().first().waitFor();
    await expectAccessible(page, "hostile deliveries");
    await goTo("#/endpoints");
    await page.locator(".row.endpoint").nth(49).waitFor();
    await expectAccessible(page, "hostile endpoints");
    await goTo("#/endpoint/endpoint-2");
    await page.locator(".picture").waitFor();
    await expectAccessible(page, "a hostile endpoint");
    await goTo(`#/delivery/${fixture.world.deliveries[9_996]?.id}`);
    // Not today's: with year and zone.
    await has(
      page.locator(".attempt"),
      /[A-Z][a-z]{2} \d+, 20\d\d, \d\d:\d\d:\d\d (UTC|GMT|[A-Z])/,
    );
    await page.locator("summary").first().click();
    await expectAccessible(page, "a hostile delivery");
    expect(await page.title()).toBe("Delivery · Webhooks");
  });

  test("resends 2,500 in rounds of 1,000 and shows how far it is", async () => {
    const { page, button, dialog } = await open("#/deliveries");
    await button("Resend failed …").click();
    await dialog().getByLabel("Since").selectOption("the beginning of the log");
    await button("Resend 2,500").click();
    await has(page.locator(".round"), "2,500 deliveries sent again: all arrived.");
    expect(fixture.world.deliveries.filter(({ status }) => status === "failed")).toEqual([]);
  });

  test("says when something is tried next, never that it was ago, and what was due is due any moment", async () => {
    const next = (ms: number) => new Date(Date.now() + ms).toISOString();
    const retried = { status: "sending" as const, attempts: 2, finished_at: null };
    fixture.world.deliveries = [
      fixtureDelivery(1, { ...retried, title: "overdue", next_try_at: next(-60_000) }),
      fixtureDelivery(2, { ...retried, title: "soon", next_try_at: next(10 * 60_000) }),
    ];
    const { row } = await open("#/deliveries");
    await has(row("overdue"), "2 tries, next any moment");
    await has(row("soon"), /2 tries, next in (9|10) min/);
  });

  test("one that fails long after it was sent appears in the list of what failed", async () => {
    const { page, deliveries, news, glance } = await open("#/deliveries?status=failed");
    await deliveries().nth(24).waitFor();
    const late = fixture.world.deliveries[9_985];
    Object.assign(late!, { status: "failed", title: "late" });
    await glance();
    await has(news(), "Show 1 new delivery");
    await news().click();
    await until(
      "the late one",
      async () => (await page.locator(".row", { hasText: "late" }).count()) === 1,
    );
  });
}
