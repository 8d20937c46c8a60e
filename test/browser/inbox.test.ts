// The inbox page in a real browser.
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { clipboard, openInbox, startBrowser } from "./browser.ts";
import { type Scene, SECRET, startScene } from "./scene.ts";

/** Asynchronous, as the receiver of what curl sends is in this process. */
const run = promisify(execFile);
const browser = await startBrowser();
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

describe.skipIf(browser === null)("the inbox page", () => {
  let scene: Scene;
  let page: Page;
  let complaints: string[];
  let endpointId: string;

  beforeAll(async () => {
    scene = await startScene();
  });
  afterAll(async () => {
    await browser?.close();
    await scene?.close();
  });
  beforeEach(async () => {
    await scene.reset();
    endpointId = await scene.endpoint();
    ({ page, complaints } = await openInbox(browser!, scene.url));
  });
  afterEach(async () => {
    await page.context().close();
    expect(complaints).toEqual([]);
  });

  const row = (text: string) => page.locator(".row", { hasText: text });
  const shown = () => page.locator(".row .about").allTextContents();

  test("shows a delivery without a reload, and counts it in the title until it is opened", async () => {
    await scene.event(endpointId, "created", { id: 1, item: "Buy milk" });
    await row("Buy milk").locator(".status", { hasText: "Success" }).waitFor();
    expect(await row("Buy milk").locator(".signature").textContent()).toBe("valid");
    expect(await page.title()).toBe("(1) Inbox · local Convoy");

    await row("Buy milk").click();
    await page.locator("#detail h2").waitFor();
    expect(await page.title()).toBe("Inbox · local Convoy");
  });

  test("finds deliveries by their content, and filters by type", async () => {
    await scene.event(endpointId, "created", { id: 1, item: "Buy milk" });
    await scene.event(endpointId, "updated", { id: 2, item: "Water the plants" });
    await scene.event(endpointId, "created", { id: 3, item: "Water the lawn" });
    await row("lawn").waitFor();

    await page.keyboard.press("/");
    await page.keyboard.type("WATER");
    await row("milk").waitFor({ state: "detached" });
    expect(await shown()).toEqual(["#3 Water the lawn", "#2 Water the plants"]);

    await page.locator("#filter-type").selectOption("updated");
    await row("lawn").waitFor({ state: "detached" });
    expect(await shown()).toEqual(["#2 Water the plants"]);

    // New deliveries that do not match stay out.
    await scene.event(endpointId, "created", { id: 4, item: "Water something else" });
    await scene.event(endpointId, "updated", { id: 5, item: "Water the roof" });
    await row("roof").waitFor();
    expect(await shown()).toEqual(["#5 Water the roof", "#2 Water the plants"]);
  });

  test("keeps what arrives while a list is being fetched, as that list is older", async () => {
    await scene.event(endpointId, "updated", { id: 1, item: "Leaves the list" });
    await row("Leaves").waitFor();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { promise: taken, resolve: take } = Promise.withResolvers<void>();
    await page.route("**/inbox/deliveries?*", async (route) => {
      const response = await route.fetch();
      take();
      await released;
      await route.fulfill({ response });
    });
    await page.locator("#filter-type").selectOption("created");
    await taken;
    await scene.event(endpointId, "created", { id: 2, item: "Arrives meanwhile" });
    await row("Arrives").waitFor();
    release();
    await row("Leaves").waitFor({ state: "detached" });
    expect(await shown()).toEqual(["#2 Arrives meanwhile"]);
  });

  test("goes through the list with j and k, and replays with r", async () => {
    await scene.event(endpointId, "created", { id: 1, item: "first" });
    await scene.event(endpointId, "created", { id: 2, item: "second" });
    await row("second").locator(".status", { hasText: "Success" }).waitFor();
    const current = page.locator(".row[aria-current=true]");

    await page.keyboard.press("j");
    expect(await current.textContent()).toContain("second");
    await page.keyboard.press("j");
    expect(await current.textContent()).toContain("first");
    await page.keyboard.press("k");
    expect(await current.textContent()).toContain("second");
    await page.keyboard.press("j");

    await page.keyboard.press("r");
    await current.locator(".status", { hasText: "×2" }).waitFor();
    await current.locator(".badge", { hasText: "duplicate" }).waitFor({ state: "attached" });
    await page.locator("#detail details").nth(1).waitFor();
    const bodies = scene.arrivals.map((one) => one.body);
    expect(bodies.filter((body) => body === bodies[0])).toHaveLength(2);

    await page.keyboard.press("Escape");
    await page.locator("#detail").waitFor({ state: "hidden" });
  });

  test("Escape takes the search back in truth, then leaves it", async () => {
    await scene.event(endpointId, "created", { id: 1, item: "Buy milk" });
    await scene.event(endpointId, "created", { id: 2, item: "Water the lawn" });
    await row("lawn").waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("lawn");
    await row("milk").waitFor({ state: "detached" });
    await page.keyboard.press("Escape");
    await row("milk").waitFor();
    expect(await page.locator("#search").inputValue()).toBe("");
    const focused = () => page.evaluate<string>("document.activeElement.id");
    expect(await focused()).toBe("search");
    await page.keyboard.press("Escape");
    expect(await focused()).toBe("");
  });

  test("Enter leads from a row into its detail, Escape back to the row; the list is one stop for Tab", async () => {
    for (let id = 1; id <= 60; id++)
      await scene.event(endpointId, "created", { id, item: `todo ${id}.` });
    await row("todo 60.").waitFor();
    await row("todo 1.").waitFor();
    const focused = () => page.evaluate<string>("document.activeElement.textContent.trim()");
    await row("todo 60.").focus();
    await page.keyboard.press("ArrowDown");
    await page.locator(".row[aria-current=true]", { hasText: "todo 59." }).waitFor();
    expect(await focused()).toContain("todo 59.");
    await page.keyboard.press("Enter");
    await page.locator("#detail:focus").waitFor();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    expect(await focused()).toBe("Replay");
    await page.keyboard.press("Escape");
    expect(await focused()).toContain("todo 59.");
    // From the list, Tab leaves it.
    await page.keyboard.press("Tab");
    expect(await page.evaluate<boolean>("document.activeElement.matches('.row')")).toBe(false);
  });

  test("shows each attempt with its answer, and why the delivery failed", async () => {
    const failing = await scene.endpoint(`${scene.receiverUrl}/fail`, "Failing endpoint");
    await scene.event(failing, "created", { id: 1, item: "never arrives" });
    await row("never arrives").locator(".status", { hasText: "Failure ×3" }).waitFor();
    await row("never arrives").click();

    const attempts = page.locator("#detail details");
    await attempts.nth(2).waitFor();
    expect(await attempts.count()).toBe(3);
    expect(await attempts.first().textContent()).toContain("500 Internal Server Error");
    expect(await attempts.first().textContent()).toContain('{"error":"the database is down"}');
    expect(await page.locator("#detail .facts").textContent()).toContain(
      "500 Internal Server Error",
    );
  });

  test("says step by step why a signature does not match", async () => {
    await scene.call(
      "POST",
      "/events",
      `{"endpoint_id":"${endpointId}","event_type":"created","data":{"todo": {"id": 9, "item": "spaced"}}}`,
    );
    await row("spaced").locator(".signature", { hasText: "invalid" }).waitFor();
    await row("spaced").click();
    const steps = page.locator("#detail .steps li");
    await steps.nth(3).waitFor();
    expect(await steps.evaluateAll((all) => all.map((one) => one.getAttribute("data-ok")))).toEqual(
      ["true", "true", "true", "false"],
    );
    expect(await steps.last().textContent()).toContain("Convoy signs the compacted JSON");
  });

  test("shows HTML and script in a body as text, and runs nothing", async () => {
    const item = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
    await scene.event(endpointId, "created", { id: 1, item });
    await row("<script>").click();
    await page.locator("#detail .code").first().waitFor();
    expect(await page.locator("#detail .code").first().textContent()).toContain("<script>");
    expect(await page.locator(".row img, .row script, #detail img, #detail script").count()).toBe(
      0,
    );
    expect(await page.title()).toBe("Inbox · local Convoy");
  });

  test("runs no script but its own, even if one gets into the page", async () => {
    const blocked = await page.evaluate<string>(`new Promise((resolve) => {
      document.addEventListener("securitypolicyviolation", (event) => resolve(event.violatedDirective));
      const script = document.createElement("script");
      script.textContent = "document.title = 'owned'";
      document.body.append(script);
    })`);
    expect(blocked).toBe("script-src-elem");
    expect(await page.title()).toBe("Inbox · local Convoy");
    expect(complaints.splice(0)).toHaveLength(1);
  });

  test("copies a delivery as a curl command that sends the same bytes and headers", async () => {
    await scene.event(endpointId, "created", { id: 1, item: "it's 5 o'clock; $HOME `x` \\ é" });
    await row("o'clock").click();
    await page.getByRole("button", { name: "Copy as curl" }).click();
    await page.locator("#said", { hasText: "Copied" }).waitFor();

    await scene.convoy.idle();
    const [sent] = scene.arrivals;
    await run("sh", ["-c", await clipboard(page)]);
    expect(scene.arrivals).toHaveLength(2);
    const [, copied] = scene.arrivals;
    expect(copied?.body).toBe(sent?.body);
    expect(copied?.url).toBe(sent?.url);
    for (const name of ["x-convoy-signature", "x-convoy-idempotency-key", "user-agent"])
      expect(copied?.headers[name]).toBe(sent?.headers[name]);
  });

  test("copies TypeScript that verifies the delivery, and refuses another secret", async () => {
    await scene.event(endpointId, "created", { id: 1, item: "quotes \" and 'é'" });
    await row("quotes").click();
    await page.getByRole("button", { name: "Copy check in TypeScript" }).click();
    await page.locator("#said", { hasText: "Copied" }).waitFor();
    const file = path.join(tmpdir(), `check-${process.pid}.ts`);
    writeFileSync(file, await clipboard(page));
    const check = async (secret: string) => {
      const env = { ...process.env, WEBHOOK_SECRET: secret };
      return (await run(process.execPath, ["--no-warnings", file], { env })).stdout;
    };
    expect(await check(SECRET)).toContain("valid: true");
    expect(await check("another")).toContain("valid: false");
  });

  test("sets faults, shows them while they last, and ends them", async () => {
    await page.getByRole("button", { name: "Faults" }).click();
    const api = page.locator("fieldset[data-side=api]");
    await api.getByLabel("Answer with status").fill("503");
    await api.getByLabel("Share of calls hit, %").fill("100");
    await page.locator("fieldset[data-side=deliveries]").getByLabel("Drop").check();
    await page.getByRole("button", { name: "Apply" }).click();
    await page.locator("#trouble", { hasText: "Convoy's API answers 503" }).waitFor();
    expect((await scene.event(endpointId, "created", { id: 1, item: "refused" })).status).toBe(503);
    expect(await (await fetch(`${scene.url}/inbox/faults`)).json()).toEqual({
      status: 503,
      rate: 1,
      deliveries: { drop: true },
    });

    await page.getByRole("button", { name: "End faults" }).click();
    await page.locator("#trouble").waitFor({ state: "hidden" });
    expect((await scene.event(endpointId, "created", { id: 2, item: "taken" })).status).toBe(201);
    await row("taken").waitFor();
  });

  test("strands deliveries and says so, until a replay sends them", async () => {
    await page.getByRole("button", { name: "Faults" }).click();
    const queue = page.locator("fieldset[data-side=queue]");
    await queue.getByRole("combobox").selectOption("delivery");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.locator("#trouble", { hasText: "strands deliveries, Scheduled" }).waitFor();
    expect(await (await fetch(`${scene.url}/inbox/faults`)).json()).toEqual({
      strand: { what: "delivery" },
    });
    await scene.event(endpointId, "created", { id: 1, item: "forgotten" });
    await row("forgotten").filter({ hasText: "stranded" }).click();
    await page.getByRole("button", { name: "Replay" }).click();
    await row("forgotten").filter({ hasText: "Success" }).waitFor();
    expect(await row("forgotten").textContent()).not.toContain("stranded");
  });

  test("an empty inbox shows the tutorial's two commands, the second with the newest endpoint", async () => {
    await page.locator(".command").nth(1).waitFor();
    await page.getByRole("button", { name: "Copy" }).nth(1).click();
    await page.locator("#said", { hasText: "Copied" }).waitFor();
    const command = await clipboard(page);
    expect(command).toContain(`http://0.0.0.0:8080/todo?endpoint=${endpointId}`);
    expect(command).toContain(
      '"item": "Setup a convoy webhook project and publish my first webhook"',
    );
  });

  test("Clear empties the list in every open page", async () => {
    const other = await openInbox(browser!, scene.url);
    await scene.event(endpointId, "created", { id: 1, item: "Buy milk" });
    await row("Buy milk").waitFor();
    await other.page.locator(".row").waitFor();
    await page.getByRole("button", { name: "Clear …" }).click();
    await page.getByRole("dialog").filter({ hasText: "The only delivery is cleared." }).waitFor();
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    expect(await page.locator(".row").count()).toBe(1);
    await page.locator("#filter-type").selectOption("ping");
    await row("Buy milk").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Clear …" }).click();
    await page.getByRole("dialog").filter({ hasText: "not only the 0 deliveries" }).waitFor();
    await page.getByRole("button", { name: "Clear everything" }).click();
    await page.locator("#filter-type").selectOption("");
    await row("Buy milk").waitFor({ state: "detached" });
    await other.page.locator(".row").waitFor({ state: "detached" });
    await other.page.context().close();
    expect(other.complaints).toEqual([]);
  });

  test.each([
    { name: "light at 1,600 px", width: 1600, dark: false, runOnly: undefined },
    // The rules that depend on neither theme nor width are checked in the first alone.
    {
      ...{ name: "dark at 400 px", width: 400, dark: true },
      runOnly: ["color-contrast", "scrollable-region-focusable"],
    },
  ])(
    "axe finds nothing, and nothing is wider than the window: $name",
    async ({ width, dark, runOnly }) => {
      const options = JSON.stringify({ runOnly, resultTypes: ["violations"], preload: false });
      await scene.event(endpointId, "ping");
      await scene.event(endpointId, "created", { id: 1, item: "Buy milk" }, "same-message");
      await scene.event(endpointId, "created", { id: 1, item: "Buy milk" }, "same-message");
      await scene.event(await scene.endpoint("https://webhook.site/abc"), "deleted", {
        id: 2,
        item: "x",
      });
      await scene.event(await scene.endpoint(`${scene.receiverUrl}/fail`), "updated", {
        id: 3,
        item: "y".repeat(300),
      });
      await scene.convoy.idle();
      const opened = await openInbox(browser!, scene.url, { width, dark });
      const look = async () => {
        await opened.page.evaluate(axe);
        const findings = await opened.page.evaluate<
          string[]
        >(`axe.run(${options}).then(({ violations }) =>
        violations.map((one) => one.impact + " " + one.id + ": " + one.nodes[0].html))`);
        expect(findings).toEqual([]);
        const wide = await opened.page.evaluate<number>("document.documentElement.scrollWidth");
        expect(wide).toBeLessThanOrEqual(width);
      };
      await opened.page.locator(".row").nth(4).waitFor();
      await look();
      await opened.page.locator(".row").first().click();
      await opened.page.locator("#detail h2").waitFor();
      await look();
      await opened.page.getByRole("button", { name: "Faults" }).click();
      await look();
      await opened.page.context().close();
      expect(opened.complaints).toEqual([]);
    },
  );
});
