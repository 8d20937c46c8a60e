// A page of the portal, and shorthands for what a person does on it.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Browser, Locator, Page } from "playwright-core";
import { until } from "../../support/until.ts";

const run = promisify(execFile);

/** How the page is opened; `clock`: the test controls its time. */
export type VisitOptions = { width?: number; height?: number; dark?: boolean; clock?: boolean };

/** An open page and what is on it. */
export type Visited = Awaited<ReturnType<typeof openPortal>>;

/** Opens a page at this address. */
export type Visit = (url: string, options?: VisitOptions) => Promise<Visited>;

/** Opens a page, and collects its requests and its errors, failed requests apart. */
export async function openPortal(browser: Browser, url: string, options: VisitOptions = {}) {
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1280, height: options.height ?? 800 },
    colorScheme: options.dark ? "dark" : "light",
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  if (options.clock) await page.clock.install();
  const complaints: string[] = [];
  const requests: string[] = [];
  let ended = 0;
  page.on("request", (request) => requests.push(request.url()));
  page.on("requestfinished", () => ended++);
  page.on("requestfailed", () => ended++);
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    // The browser logs this for each answer that is an error; the page says it in words.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
      complaints.push(message.text());
  });
  await page.goto(url);
  return { page, complaints, requests, isQuiet: () => ended === requests.length, ...waysOn(page) };
}

function waysOn(page: Page) {
  return {
    button: (name: string | RegExp) => page.getByRole("button", { name, exact: true }),
    link: (name: string | RegExp) => page.getByRole("link", { name }).first(),
    dialog: () => page.getByRole("dialog"),
    deliveries: () => page.locator(".row.delivery"),
    row: (text: string) => page.locator(".row", { hasText: text }),
    /** Waits until the page says this at its bottom. */
    said: (text: string) => page.locator(".said", { hasText: text }).waitFor(),
    /** Makes the page look for changes now, not in two seconds. */
    glance: () => page.evaluate("document.dispatchEvent(new Event('visibilitychange'))"),
    /** The bar above a list that says what is new. */
    news: () => page.locator(".news button"),
    goTo: (view: string) => page.evaluate(`location.hash = ${JSON.stringify(view)}`),
  };
}

/** Waits until one of these has the text. */
export const has = (where: Locator, text: string | RegExp) =>
  where.filter({ hasText: text }).first().waitFor();

/** The same for a page with a clock of its own, on which a second passes at each look: what it does at times, it does now. */
export const hasLater = (where: Locator, text: string | RegExp) =>
  until(`${text}`, async () => {
    await where.page().clock.runFor(1_000);
    return (await where.filter({ hasText: text }).count()) > 0;
  });

/** What a check copied from the page says about a webhook. */
export async function check(
  code: string,
  secret: string,
  { body, signature }: { body: string; signature: string },
): Promise<string> {
  const call = `\nconsole.log(verify(${JSON.stringify(body)}, ${JSON.stringify(signature)}));`;
  const env = { ...process.env, WEBHOOK_SECRET: secret };
  const args = ["--input-type=module", "-e", code + call];
  return (await run(process.execPath, args, { env })).stdout.trim();
}
