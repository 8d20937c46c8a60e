// Who gets in, and what hostile text or links cannot do.
import { gzipSync } from "node:zlib";
import { sign } from "hono/jwt";
import type { Route } from "playwright-core";
import { expect, test } from "vitest";
import { type PortalScene, SECRET } from "./scene.ts";
import { has, type Visit } from "./visit.ts";

/** Registers these tests; the scene exists once they run. */
export function safetyTests(scene: () => PortalScene, visit: Visit) {
  test("keeps the token out of the address and every request's URL, in at most 45 KB gzipped", async () => {
    const { owner, endpoint } = await scene().newcomer();
    await endpoint();
    const { page, requests, link, row } = await visit(owner.link);
    await link("Endpoints").click();
    await row("Shop backend").click();
    await has(page.locator(".owner"), owner.name);
    const token = owner.link.split("#token=")[1] ?? "";
    const kept = await page.evaluate<string>(
      "JSON.stringify([location.href, history.state, { ...localStorage }, document.cookie, document.documentElement.outerHTML])",
    );
    expect(kept).not.toContain(token);
    expect(requests.filter((url) => url.includes(token))).toEqual([]);
    expect(requests.filter((url) => new URL(url).origin !== scene().url.origin)).toEqual([]);
    const own = requests.filter((url) => new URL(url).pathname.startsWith("/portal/"));
    const sizes = own.map(async (url) => gzipSync(await (await fetch(url)).bytes()).length);
    const total = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
    console.info(`portal: ${own.length} files, ${total} bytes gzipped`);
    expect(own.length).toBeGreaterThan(10);
    expect(total).toBeLessThanOrEqual(45_000);
    // Back does not bring it back either.
    await page.goBack();
    expect(page.url()).not.toContain(token);
  });

  test("a reload and a duplicate of the tab keep the link; a tab opened by its address says how to get one", async () => {
    const { owner, endpoint } = await scene().newcomer();
    const { id } = await endpoint();
    const { page, goTo } = await visit(owner.link);
    await goTo(`#/endpoint/${id}`);
    await page.getByRole("heading", { name: "Shop backend" }).waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "Shop backend" }).waitFor();
    const [copy] = await Promise.all([
      page.waitForEvent("popup"),
      page.evaluate("void open(location.href)"),
    ]);
    await copy.getByRole("heading", { name: "Shop backend" }).waitFor();
    await copy.close();
    // Another tab has a storage of its own.
    const other = await page.context().newPage();
    await other.goto(page.url());
    await other.getByRole("heading", { name: "This page opens only with a link" }).waitFor();
    await has(other.locator("main"), /opened by its address alone.*a link belongs to the tab/s);
    await other.close();
  });

  test("says that a link has expired, requests nothing more, and works again with a new one", async () => {
    const { owner, endpoint } = await scene().newcomer();
    await endpoint();
    const exp = Math.floor(Date.now() / 1_000) - 120;
    const old = await sign({ sub: owner.name, exp, scope: "portal" }, SECRET, "HS256");
    const { page, requests, row, goTo } = await visit(`${scene().url}portal/#token=${old}`);
    await page.getByRole("heading", { name: "This link has expired" }).waitFor();
    await has(page.locator("main"), "gives you a new link");
    const before = requests.length;
    await goTo("#/endpoints");
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
    expect(requests.length).toBe(before);
    // Reloaded, it still says so, and not that there was no link.
    await page.reload();
    await page.getByRole("heading", { name: "This link has expired" }).waitFor();
    await page.goto(owner.link);
    await page.getByRole("heading", { name: "Nothing has been sent yet" }).waitFor();
    await goTo("#/endpoints");
    await row("Shop backend").waitFor();

    await goTo("#token=nonsense");
    await page.getByRole("heading", { name: "This link is not valid" }).waitFor();
    await has(page.locator("main"), "malformed");
  });

  test("an answer about the link before that comes late does not end a new one", async () => {
    const { owner } = await scene().newcomer();
    const exp = Math.floor(Date.now() / 1_000) - 120;
    const old = await sign({ sub: owner.name, exp, scope: "portal" }, SECRET, "HS256");
    const { page } = await visit("about:blank");
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const holdBack = async (route: Route) => {
      const response = await route.fetch();
      await released;
      await route.fulfill({ response });
    };
    await page.route("**/delivery?*", holdBack, { times: 1 });
    const late = page.waitForResponse(
      (response) => response.url().includes("/delivery?") && response.status() === 401,
    );
    await page.goto(`${scene().url}portal/#token=${old}`);
    await page.getByRole("heading", { name: "This link has expired" }).waitFor();
    await page.goto(owner.link);
    await page.getByRole("heading", { name: "Nothing has been sent yet" }).waitFor();
    release();
    await (await late).finished();
    await has(page.locator(".live"), /^live$/);
    expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe("Deliveries");
  });

  test("shows nothing of another owner's endpoints and events", async () => {
    const { endpoint, todo } = await scene().newcomer();
    const { id } = await endpoint("/ok", "A secret name");
    const event = await todo(id, "a secret thing");
    const stranger = await scene().newcomer();
    const { page, goTo } = await visit(stranger.owner.link);
    await page.getByRole("heading", { name: "Nothing has been sent yet" }).waitFor();
    await goTo("#/endpoints");
    await page.getByRole("heading", { name: "No endpoints yet" }).waitFor();
    await goTo(`#/delivery/${event}.${id}`);
    await page.getByRole("heading", { name: "There is no such delivery" }).waitFor();
    await goTo(`#/deliveries?endpoint=${id}`);
    await page.getByRole("heading", { name: "No matching deliveries" }).waitFor();
    await goTo(`#/endpoint/${id}`);
    await page.getByRole("heading", { name: "There is no such endpoint" }).waitFor();
    await goTo(`#/event/${event}`);
    await page.getByRole("heading", { name: "There is no such event" }).waitFor();
    await goTo("#/events");
    await page.getByRole("heading", { name: "Nothing has happened yet" }).waitFor();
    expect(await page.content()).not.toContain("secret");
  });

  test("runs no script but its own and turns no text into HTML, even if one gets into the page", async () => {
    const { owner } = await scene().newcomer();
    const { page, complaints } = await visit(owner.link);
    await page.getByRole("heading", { name: "Nothing has been sent yet" }).waitFor();
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
    const { headers } = await fetch(new URL("/portal/", scene().url));
    expect(headers.get("content-security-policy")).toMatch(
      /default-src 'none'.*frame-ancestors 'none'/,
    );
    expect(headers.get("content-security-policy")).not.toContain("unsafe");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("cache-control")).toBe("no-store");
  });
}
