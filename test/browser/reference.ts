// The API reference at /docs and the document behind it: static assets beside the Worker, and in a real browser.
import type { Browser } from "playwright-core";
import { expect, test } from "vitest";
import { buildDocument, operationsOf, toTemplate } from "../../openapi/document.ts";

const document = buildDocument();

async function get(base: URL, at: string, headers: Record<string, string> = {}) {
  const response = await fetch(new URL(at, base), { headers });
  return { response, text: await response.text() };
}

/** Registers the tests of the files; the Worker answers at `base` once they run. */
export function referenceTests(base: () => URL) {
  test("/openapi.json is made from the current schemas, open to any origin, cached and revalidated", async () => {
    const { response, text } = await get(base(), "/openapi.json", {
      Origin: "https://elsewhere.test",
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(response.headers.get("cache-control")).toBe("public, max-age=300");
    expect(JSON.parse(text)).toEqual(document);

    const etag = response.headers.get("etag") ?? "";
    const again = await get(base(), "/openapi.json", { "If-None-Match": etag });
    expect([again.response.status, again.text]).toEqual([304, ""]);
  });

  test.each(["/docs", "/docs/"])(
    "%s is the page, under a policy that trusts only its own files",
    async (at) => {
      const { response, text } = await get(base(), at);
      expect([response.status, new URL(response.url).pathname]).toEqual([200, "/docs/"]);
      expect(response.headers.get("content-security-policy")).toBe(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      );
      expect(text).toContain("<title>Todo webhooks");
    },
  );

  test("the Worker answers everything else, and the assets' settings are not served", async () => {
    for (const at of ["/health", "/_headers", "/"]) {
      const { response } = await get(base(), at);
      expect([at, response.status]).toEqual([at, at === "/_headers" ? 401 : 200]);
      expect(response.headers.get("content-type")).toBe("application/json");
    }
  });
}

/** Registers the tests of the page. */
export function pageTests(base: () => URL, browser: Browser) {
  test("shows every route and webhook, lets one try a call, and requests nothing from elsewhere", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const complaints: string[] = [];
    const asked: string[] = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => complaints.push(`${message.type()}: ${message.text()}`));
    page.on("request", (request) => asked.push(request.url()));
    await page.goto(new URL("/docs", base()).href);
    await page.locator(".webhooks .opblock").first().waitFor();

    // One call for all of them, as a string, since Node's types know no DOM.
    const shown = async (within: string) => {
      const text = await page.evaluate<string[]>(
        `[...document.querySelectorAll("${within} .opblock-summary")].map((block) =>
          block.querySelector(".opblock-summary-method").textContent.toLowerCase() + " " +
          block.querySelector(".opblock-summary-path").dataset.path)`,
      );
      return text.sort();
    };
    const routes = operationsOf()
      .map((o) => `${o.method} ${toTemplate(o.path)}`)
      .sort();
    const webhooks = Object.keys(document.webhooks).map((name) => `post ${name}`);
    expect(await shown(".opblock-tag-section")).toEqual(routes);
    expect(await shown(".webhooks")).toEqual(webhooks.sort());

    // Opens one of each kind: inline styles or scripts would be blocked, which is a complaint.
    for (const id of [
      "#operations-Todos-createTodo",
      "#operations-Service-health",
      "#operations-webhooks-created",
    ]) {
      await page.locator(`${id} .opblock-control-arrow`).click();
    }
    const health = page.locator("#operations-Service-health");
    await health.locator(".try-out__btn").click();
    await health.locator(".execute").click();
    const answer = health.locator(".live-responses-table .response");
    expect(await answer.locator(".response-col_status").innerText()).toContain("200");
    expect(await answer.locator(".microlight").first().innerText()).toContain('"status": "ok"');

    await context.close();
    expect(complaints).toEqual([]);
    expect(asked).toContain(new URL("/openapi.json", base()).href);
    const elsewhere = asked.filter((url) => new URL(url).origin !== base().origin);
    expect(elsewhere.filter((url) => !url.startsWith("data:"))).toEqual([]);
  });
}
