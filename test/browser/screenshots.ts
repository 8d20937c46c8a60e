// Takes the two screenshots of the README: node test/browser/screenshots.ts
import path from "node:path";
import { openInbox, startBrowser } from "./browser.ts";
import { startScene } from "./scene.ts";

const DOCS = path.resolve(import.meta.dirname, "../../docs");
const VIEW = { width: 1280, height: 860 };

const ITEMS = [
  "Buy milk",
  "Write the changelog",
  "Book a train to Lisbon",
  "Review pull request 214",
  "Water the plants",
];

const browser = await startBrowser();
if (browser === null) process.exit(1);
const scene = await startScene();
const todos = await scene.endpoint();
const hosted = await scene.endpoint("https://webhook.site/40984a4e-7b36-41fb-a234-9c2006bac8b5");
const failing = await scene.endpoint(`${scene.receiverUrl}/fail`, "Failing endpoint");

await scene.event(todos, "ping");
for (const [at, item] of ITEMS.entries())
  await scene.event(at === 3 ? hosted : todos, "created", { id: at + 1, item });
await scene.event(failing, "created", { id: 6, item: "Renew the domain" });
await scene.event(todos, "updated", { id: 2, item: "Write the changelog" }, "again");
await scene.event(todos, "updated", { id: 2, item: "Write the changelog" }, "again");
await scene.event(todos, "deleted", { id: 5, item: "Water the plants" });
await scene.event(todos, "created", {
  id: 7,
  item: "Setup a convoy webhook project and publish my first webhook",
});

for (const dark of [false, true]) {
  const { page } = await openInbox(browser, scene.url, { ...VIEW, dark });
  await page.locator(".row", { hasText: "Failure" }).waitFor();
  await page.locator(".row").first().click();
  await page.locator("#detail .steps").waitFor();
  await page.screenshot({ path: path.join(DOCS, `inbox-${dark ? "dark" : "light"}.png`) });
}
await browser.close();
await scene.close();
