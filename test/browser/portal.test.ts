// The portal in a real browser, on the built Worker and the local Convoy, as its owners use it.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { sign } from "hono/jwt";
import type { Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { clipboard, startBrowser } from "./browser.ts";
import {
  EVIL,
  type Owner,
  openPortal,
  type PortalScene,
  SECRET,
  startPortalScene,
} from "./portal-scene.ts";

const run = promisify(execFile);
const browser = await startBrowser();
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

describe.skipIf(browser === null)("the portal", () => {
  let scene: PortalScene;
  let owner: Owner;
  let page: Page;
  let complaints: string[];
  let requests: string[];

  beforeAll(async () => {
    scene = await startPortalScene();
  });
  afterAll(async () => {
    await browser?.close();
    await scene?.close();
  });
  beforeEach(async () => {
    owner = await scene.owner();
    scene.arrivals.length = 0;
  });
  afterEach(async () => {
    await scene.convoy.setFaults({});
    await page?.context().close();
    expect(complaints).toEqual([]);
  });

  /** Opens the owner's link, or another address. */
  async function visit(link = owner.link, options: Parameters<typeof openPortal>[2] = {}) {
    ({ page, complaints, requests } = await openPortal(browser!, link, options));
  }
  const button = (name: string | RegExp) => page.getByRole("button", { name, exact: true });
  const link = (name: string | RegExp) => page.getByRole("link", { name });
  const dialog = () => page.getByRole("dialog");
  const deliveries = () => page.locator(".row.delivery");
  const row = (text: string) => page.locator(".row", { hasText: text });
  const said = (text: string) => page.locator(".said", { hasText: text }).waitFor();
  const has = (where: Locator, text: string | RegExp) => where.filter({ hasText: text }).waitFor();
  /** What changed elsewhere is looked for now, not in two seconds. */
  const glance = () => page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
  const goTo = (view: string) => page.evaluate(`location.hash = ${JSON.stringify(view)}`);

  /** An endpoint of the owner that exists already. */
  async function endpoint(path = "/ok", name = "Shop backend") {
    const { body } = await owner.call<{ endpoint: { id: string }; secret: string }>(
      "POST",
      "/endpoint",
      { name, url: scene.receiverUrl + path },
    );
    return { id: body.endpoint.id, secret: body.secret };
  }
  /** A todo that is added elsewhere; its event goes to that endpoint. */
  async function todo(endpointId: string, item: string) {
    const answer = await owner.call("POST", `/todo?endpoint=${endpointId}`, { item });
    expect(answer.status).toBe(201);
    return answer.headers.get("X-Event-Id") ?? "";
  }
  /** Gives the owner's events of these todos up. */
  async function giveUp(pattern: string) {
    await scene.db
      .prepare(
        `UPDATE event SET state = 'dead', error = 'Convoy answered 413', accepted_at = NULL, due_at = NULL, finished_at = 1,
           stored = iif(stored IS NULL, NULL, 1)
         WHERE owner = ? AND todo LIKE ?`,
      )
      .bind(owner.name, pattern)
      .run();
  }
  /** What a check that was copied from the page says of a webhook. */
  async function check(
    code: string,
    secret: string,
    { body, signature }: { body: string; signature: string },
  ) {
    const call = `\nconsole.log(verify(${JSON.stringify(body)}, ${JSON.stringify(signature)}));`;
    const env = { ...process.env, WEBHOOK_SECRET: secret };
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", code + call], {
      env,
    });
    return stdout.trim();
  }
  const arrived = (url: string, count = 1) =>
    until("a webhook", () => scene.arrivals.filter((one) => one.url === url).length >= count);

  test("adds an endpoint: errors stand beside the fields, the secret is shown once, a ping arrives", async () => {
    await visit();
    await page.getByRole("heading", { name: "No endpoints yet" }).waitFor();
    await button("Add endpoint").click();
    await dialog().getByLabel("URL").fill("ftp://example.com");
    await dialog().getByLabel("Timeout").fill("never");
    await button("Add").click();
    await has(page.locator("#name-wrong"), "must not be empty");
    await has(page.locator("#url-wrong"), "must be an http or https URL");
    await has(page.locator("#http_timeout-wrong"), "must be");
    expect(await page.evaluate<string>("document.activeElement.id")).toBe("name");

    await dialog().getByLabel("Name").fill("Shop backend");
    await dialog().getByLabel("URL").fill(`${scene.receiverUrl}/ok`);
    await dialog().getByLabel("Timeout").fill("10s");
    await button("Add").click();
    await has(dialog().getByRole("heading"), "Shop backend is added");
    const secret = (await page.locator("#secret").textContent()) ?? "";
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
    await page.getByRole("heading", { name: "Nothing was sent here yet" }).waitFor();
    await button("Send a ping").click();
    await has(page.locator(".ping"), /Arrived\. The receiver answered 200 OK after \d+ ms/);
    await has(deliveries(), /Success.*ping.*1 attempt of 3/s);
    const [webhook] = scene.arrivals;
    expect(await check(code, secret, webhook!)).toBe("true");
    expect(await check(code, "another", webhook!)).toBe("false");
    expect(await check(code, "", webhook!)).toBe("false");
  });

  test("edits, pauses and activates an endpoint; what happens meanwhile arrives then", async () => {
    const { id } = await endpoint();
    await visit();
    await row("Shop backend").click();
    await button("Edit").click();
    await dialog().getByLabel("Name").fill("Warehouse");
    await dialog().getByLabel("URL").fill("nonsense");
    await button("Save").click();
    await has(page.locator("#url-wrong"), "must be an http or https URL");
    await dialog().getByLabel("URL").fill(`${scene.receiverUrl}/moved`);
    await button("Save").click();
    await page.getByRole("heading", { name: "Warehouse" }).waitFor();
    expect((await owner.call("GET", `/endpoint/${id}`)).body).toMatchObject({
      name: "Warehouse",
      url: `${scene.receiverUrl}/moved`,
    });

    await button("Pause").click();
    await has(page.locator(".pill").first(), "paused");
    await has(page.locator(".note"), "kept, and sent once you activate it");
    await todo(id, "meanwhile");
    await glance();
    await has(deliveries(), "Discarded");
    expect(scene.arrivals).toEqual([]);
    await button("Activate").click();
    await has(page.locator(".pill").first(), "active");
    await has(deliveries(), "Success");
    expect(scene.arrivals.map(({ url }) => url)).toEqual(["/moved"]);
  });

  test("rotates a secret with an overlap, in which both sign; removes an endpoint after a question", async () => {
    const { id, secret } = await endpoint();
    await visit();
    await row("Shop backend").click();
    await button("Rotate secret").click();
    await dialog().getByLabel("Overlap").fill("1000");
    await button("Rotate").click();
    await has(page.locator("#overlap_hours-wrong"), "at most 168");
    await dialog().getByLabel("Overlap").fill("48");
    await button("Rotate").click();
    await has(dialog(), "signed with both secrets");
    const fresh = (await page.locator("#secret").textContent()) ?? "";
    expect(fresh).not.toBe(secret);
    await button("Python").click();
    await has(dialog().locator("pre"), "def verify");
    await button("Node.js").click();
    await button("Copy the check").click();
    await said("Copied the check");
    const code = await clipboard(page);
    await button("I have stored the secret").click();
    await todo(id, "signed twice");
    await arrived("/ok");
    const [webhook] = scene.arrivals;
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

  test("shows why deliveries fail, attempt by attempt, and sends one again once the receiver is mended", async () => {
    const { id } = await endpoint("/later", "Receiver");
    await todo(id, "arrives");
    await arrived("/later");
    scene.failing.add("/later");
    await todo(id, "is refused");
    await arrived("/later", 4);
    await visit();
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
    // The receiver's text is text, whatever it is.
    expect(await attempts.first().locator("pre").textContent()).toBe(EVIL);
    expect(await page.locator("main img, main script").count()).toBe(0);

    scene.failing.delete("/later");
    await button("Send again").click();
    await said("sent again under the same event id");
    await has(deliveries().first(), "Success");
    await link("Show the event").click();
    await has(page.getByRole("heading", { level: 1 }), "is refused");
    await has(deliveries(), /Success.*Receiver/s);
    const ids = scene.arrivals.map(({ body }) => JSON.parse(body).event_id);
    expect([ids.length, new Set(ids).size]).toEqual([5, 2]);
  });

  test("finds events by type and state, says why they were given up, replays one and then all", async () => {
    const { id } = await endpoint();
    for (const item of ["kept", "lost 1", "lost 2", "lost 3"]) await todo(id, item);
    await owner.call("POST", `/endpoint/${id}/ping`);
    await arrived("/ok", 5);
    await giveUp("%lost%");
    await visit();
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
    await page.getByRole("heading", { name: "No event fits" }).waitFor();
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
    await scene.sweep();
    await glance();
    await has(page.locator(".filters"), "5 events");
    await until(
      "five accepted events",
      async () => (await page.locator(".row .pill", { hasText: "accepted" }).count()) === 5,
    );
    expect(await page.getByRole("button", { name: /Replay/ }).count()).toBe(0);
  });

  test("shows within seconds what changes elsewhere, and asks nothing while it is not seen", async () => {
    const { id } = await endpoint();
    await visit();
    await row("Shop backend").click();
    await has(page.locator(".live"), "live");
    const started = performance.now();
    await todo(id, "from elsewhere");
    await has(deliveries(), "Success");
    console.info(`portal: shown ${Math.round(performance.now() - started)} ms after POST /todo`);
    await page.context().close();

    await visit(owner.link, { clock: true });
    await row("Shop backend").waitFor();
    const see = (state: string) =>
      page.evaluate(`Object.defineProperty(document, "visibilityState", { value: "${state}", configurable: true });
        document.dispatchEvent(new Event("visibilitychange"))`);
    await page.clock.runFor(3_000);
    await see("hidden");
    await until("the answers", () =>
      page.evaluate<boolean>(
        "performance.getEntriesByType('resource').every((one) => one.responseEnd > 0)",
      ),
    );
    const before = requests.length;
    expect(before).toBeGreaterThan(0);
    await page.clock.runFor(600_000);
    expect(requests.slice(before)).toEqual([]);
    await see("visible");
    await until("a question", () => requests.length > before);
  });

  test("with Convoy down, what works goes on, and the rest says why", async () => {
    const { id } = await endpoint();
    await todo(id, "before");
    await arrived("/ok");
    await scene.convoy.setFaults({ status: 503 });
    await visit();
    await row("Shop backend").click();
    await has(page.locator(".note"), /deliveries cannot be shown now.*Convoy answered 503/);
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
      /Not sent yet: Convoy answered 503\. It is tried again by itself/,
    );
    await link("Endpoints").first().click();
    await scene.db
      .prepare(
        "UPDATE event SET occurred_at = occurred_at - 240000 WHERE owner = ? AND type = 'ping'",
      )
      .bind(owner.name)
      .run();
    await glance();
    await has(
      page.locator(".note"),
      "1 event waits to be sent, for 4 min. Convoy answered 503. It is tried again by itself.",
    );
    await link("Events").click();
    await has(row("before"), "accepted");
    await row("ping").click();
    await has(page.locator(".note"), /deliveries|They cannot be shown now/i);

    await scene.convoy.setFaults({});
    await scene.letTimePass();
    await scene.sweep();
    await glance();
    await has(page.locator(".pill").first(), "accepted");
    await has(deliveries(), "Success");
  });

  test("keeps the token in memory: not in the address, not in the browser's storage, in no URL that is sent; the page is at most 60 KB gzipped", async () => {
    await endpoint();
    await visit();
    await row("Shop backend").click();
    await has(page.locator(".owner"), owner.name);
    const token = owner.link.split("#token=")[1] ?? "";
    const kept = await page.evaluate<string>(
      "JSON.stringify([location.href, history.state, { ...localStorage }, { ...sessionStorage }, document.cookie, document.documentElement.outerHTML])",
    );
    expect(kept).not.toContain(token);
    expect(requests.filter((url) => url.includes(token))).toEqual([]);
    expect(requests.filter((url) => new URL(url).origin !== scene.url.origin)).toEqual([]);
    const own = requests.filter((url) => new URL(url).pathname.startsWith("/portal/"));
    const sizes = own.map(async (url) => gzipSync(await (await fetch(url)).bytes()).length);
    const total = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
    console.info(`portal: ${own.length} files, ${total} bytes gzipped`);
    expect(own.length).toBeGreaterThan(10);
    expect(total).toBeLessThanOrEqual(60_000);
    // Back does not bring it back either.
    await page.goBack();
    expect(page.url()).not.toContain(token);

    await page.reload();
    await page.getByRole("heading", { name: "This page opens with a link" }).waitFor();
  });

  test("says that a link has expired, asks no more, and goes on with a new one", async () => {
    await endpoint();
    const exp = Math.floor(Date.now() / 1_000) - 120;
    const old = await sign({ sub: owner.name, exp, scope: "portal" }, SECRET, "HS256");
    await visit(`${scene.url}portal/#token=${old}`);
    await page.getByRole("heading", { name: "This link has expired" }).waitFor();
    await has(page.locator("main"), "gives you a new link");
    const before = requests.length;
    await goTo("#/events");
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
    expect(requests.length).toBe(before);
    await page.goto(owner.link);
    await row("Shop backend").waitFor();

    await goTo("#token=nonsense");
    await page.getByRole("heading", { name: "This link is not good" }).waitFor();
    await has(page.locator("main"), "malformed");
  });

  test("knows nothing of another owner's endpoints and events", async () => {
    const { id } = await endpoint("/ok", "A secret name");
    const event = await todo(id, "a secret thing");
    const stranger = await scene.owner();
    await visit(stranger.link);
    await page.getByRole("heading", { name: "No endpoints yet" }).waitFor();
    await goTo(`#/endpoint/${id}`);
    await page.getByRole("heading", { name: "There is no such endpoint" }).waitFor();
    await goTo(`#/event/${event}`);
    await page.getByRole("heading", { name: "There is no such event" }).waitFor();
    await goTo("#/events");
    await page.getByRole("heading", { name: "Nothing has happened yet" }).waitFor();
    expect(await page.content()).not.toContain("secret");
  });

  test("is used by keyboard alone, and the focus comes back from a dialog", async () => {
    await visit();
    await button("Add endpoint").waitFor();
    const focused = () =>
      page.evaluate<string>(
        "document.activeElement.textContent.trim() || document.activeElement.id",
      );
    const tabTo = async (name: string) => {
      for (let i = 0; i < 20 && (await focused()) !== name; i++) await page.keyboard.press("Tab");
      expect(await focused()).toBe(name);
    };
    await page.keyboard.press("Tab");
    expect(await focused()).toBe("Skip to the content");
    await page.keyboard.press("Enter");
    expect(await page.evaluate<string>("document.activeElement.id")).toBe("main");
    await tabTo("Add endpoint");
    await page.keyboard.press("Enter");
    await dialog().waitFor();
    await page.keyboard.press("Escape");
    await dialog().waitFor({ state: "hidden" });
    expect(await focused()).toBe("Add endpoint");
    await page.keyboard.press("Enter");
    await page.keyboard.type("By keyboard");
    await page.keyboard.press("Tab");
    await page.keyboard.type(`${scene.receiverUrl}/ok`);
    await page.keyboard.press("Enter");
    await page.locator("#secret").waitFor();
    await tabTo("I have stored the secret");
    await page.keyboard.press("Enter");
    await dialog().waitFor({ state: "hidden" });
    await button("Send a ping").waitFor();
    await tabTo("Send a ping");
    await page.keyboard.press("Enter");
    await has(page.locator(".ping"), "Arrived");
  });

  test("runs no script but its own and makes no text into HTML, even where one gets into the page", async () => {
    await visit();
    await page.getByRole("heading", { name: "No endpoints yet" }).waitFor();
    const blocked = await page.evaluate<string[]>(`(async () => {
      const blocked = [];
      document.addEventListener("securitypolicyviolation", (event) => blocked.push(event.violatedDirective));
      const script = document.createElement("script");
      try { script.textContent = "document.title = 'owned'"; } catch { blocked.push("script text"); }
      try { document.body.innerHTML = "<b>owned</b>"; } catch { blocked.push("innerHTML"); }
      const image = new Image();
      image.src = "https://evil.example/";
      await fetch("https://evil.example/").catch(() => {});
      await new Promise((resolve) => image.addEventListener("error", resolve));
      return blocked;
    })()`);
    expect(blocked).toEqual(
      expect.arrayContaining(["script text", "innerHTML", "connect-src", "img-src"]),
    );
    expect(complaints.splice(0).length).toBeGreaterThan(0);
    const { headers } = await fetch(new URL("/portal/", scene.url));
    expect(headers.get("content-security-policy")).toMatch(
      /default-src 'none'.*frame-ancestors 'none'/,
    );
    expect(headers.get("content-security-policy")).not.toContain("unsafe");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("cache-control")).toBe("no-store");
  });

  test("axe finds nothing, and nothing is wider than the window: light, dark, on a phone", async () => {
    const failing = await endpoint(
      "/fail",
      "A failing endpoint with a name that is rather long for a phone",
    );
    const good = await endpoint("/ok", "Shop backend");
    await todo(failing.id, "y".repeat(300));
    for (let i = 0; i < 3; i++) await todo(good.id, `todo ${i}`);
    await todo(good.id, "lost");
    await arrived("/fail", 3);
    await giveUp("%lost%");
    await scene.db
      .prepare(
        "UPDATE event SET occurred_at = occurred_at - 240000, state = 'pending', accepted_at = NULL, finished_at = NULL, error = 'Convoy not reachable', due_at = 9000000000000 WHERE owner = ? AND todo LIKE '%todo 1%'",
      )
      .bind(owner.name)
      .run();
    const looks: [string, () => Promise<void>][] = [
      ["endpoints", () => has(page.locator(".wrong"), "failed")],
      [
        "the form",
        async () => {
          await button("Add endpoint").click();
          await button("Add").click();
          await page.locator("#url-wrong").waitFor();
        },
      ],
      [
        "an endpoint",
        async () => {
          await page.keyboard.press("Escape");
          await row("A failing endpoint").click();
          await deliveries().first().click();
          await page.locator(".attempt").first().waitFor();
        },
      ],
      [
        "a question",
        async () => {
          await button("Remove").click();
          await dialog().waitFor();
        },
      ],
      [
        "events",
        async () => {
          await page.keyboard.press("Escape");
          await link("Events").click();
          await row("lost").waitFor();
        },
      ],
      [
        "an event",
        async () => {
          await row("lost").click();
          await deliveries().waitFor();
        },
      ],
      [
        "nothing",
        async () => {
          await goTo("#/endpoint/none");
          await page.getByRole("heading", { name: "no such endpoint" }).waitFor();
        },
      ],
    ];
    /** The rules that a theme or a width can change are asked again; the rest once. */
    const themes = [
      { width: 1280, dark: false, rules: undefined },
      { width: 1280, dark: true, rules: ["color-contrast"] },
      { width: 390, dark: false, rules: ["color-contrast", "scrollable-region-focusable"] },
    ];
    await visit();
    await page.evaluate(axe);
    for (const [name, look] of looks) {
      await page.setViewportSize({ width: 1280, height: 800 });
      await page.emulateMedia({ colorScheme: "light" });
      await look();
      for (const { width, dark, rules } of themes) {
        await page.setViewportSize({ width, height: 800 });
        await page.emulateMedia({ colorScheme: dark ? "dark" : "light" });
        const findings = await page.evaluate<
          string[]
        >(`axe.run(${JSON.stringify({ runOnly: rules })})
          .then(({ violations }) => violations.map(({ id, nodes }) =>
            id + ": " + nodes.map(({ target }) => target).join(", ")))`);
        const wide = await page.evaluate<number>(
          "Math.max(0, document.documentElement.scrollWidth - innerWidth)",
        );
        expect({ name, width, dark, findings, wide }).toEqual({
          name,
          width,
          dark,
          findings: [],
          wide: 0,
        });
      }
    }
  });
});
