// Takes the screenshots of docs/portal.md and the README: node test/browser/portal/screenshots.ts
import path from "node:path";
import type { Page } from "playwright-core";
import { until } from "../../support/until.ts";
import { startBrowser } from "../browser.ts";
import { startPortalScene } from "./scene.ts";
import { openPortal } from "./visit.ts";

const DOCS = path.resolve(import.meta.dirname, "../../../docs");

const browser = await startBrowser();
if (browser === null) process.exit(1);
const scene = await startPortalScene();
scene.refusal.body = '{"error":"the database is read-only"}';
const { owner } = await scene.newcomer("acme");

/** An endpoint at the receiver's path, which the pages show as `url`. */
async function endpoint(name: string, to: string, url: string): Promise<string> {
  const { body } = await owner.call<{ endpoint: { id: string } }>("POST", "/endpoint", {
    name,
    url: scene.receiverUrl + to,
    description: `${name} of Acme`,
  });
  await scene.db
    .prepare("UPDATE endpoint SET url = ?1, applied = json_set(applied, '$.url', ?1) WHERE id = ?2")
    .bind(url, body.endpoint.id)
    .run();
  return body.endpoint.id;
}

const shop = await endpoint("Shop backend", "/shop", "https://shop.acme.example/webhooks");
const hooks = "https://hooks.warehouse.example/todos";
const warehouse = await endpoint("Warehouse", "/warehouse", hooks);
const staging = await endpoint("Staging", "/staging", "https://staging.acme.example/webhooks");

const send = async (id: string, item: string) => {
  const before = scene.arrivals.length;
  await owner.call("POST", `/todo?endpoint=${id}`, { item });
  await until("what was sent", async () => scene.arrivals.length > before);
  await scene.convoy.idle();
  // What became of it is recorded.
  await owner.call("GET", "/delivery?limit=5");
};
for (let i = 0; i < 72; i++) {
  // An outage in the middle, and one at the end.
  const isDown = (i >= 31 && i < 37) || i >= 70;
  scene.failing[isDown ? "add" : "delete"]("/warehouse");
  if (i % 12 === 5) await send(shop, `Order ${1_000 + i}`);
  await send(warehouse, `Pallet ${200 + i}`);
}
await send(shop, "Order 1100");
await owner.call("POST", `/endpoint/${staging}/pause`);
await owner.call("POST", `/todo?endpoint=${staging}`, { item: "Try the new labels" });
// The look asks the gateway only every few seconds.
await until("all statuses", async () => {
  const { body } = await owner.call<{ data: unknown[] }>("GET", "/delivery?status=sending");
  return body.data.length === 0;
});

const calm = async (page: Page) => {
  await page.evaluate("document.activeElement.blur()");
  await page.mouse.move(0, 0);
};

for (const dark of [false, true]) {
  const theme = dark ? "dark" : "light";
  const { page } = await openPortal(browser, owner.link, { height: 900, dark });
  await page.locator(".row", { hasText: "Pallet 271" }).filter({ hasText: "failed" }).waitFor();
  await calm(page);
  await page.screenshot({ path: path.join(DOCS, `portal-${theme}.png`) });
  await page.locator(".row", { hasText: "Pallet 271" }).click();
  await page.locator(".attempt").nth(2).waitFor();
  await calm(page);
  await page.screenshot({ path: path.join(DOCS, `portal-delivery-${theme}.png`) });
  await page.context().close();
}
const { page, goTo } = await openPortal(browser, owner.link, { width: 390, height: 780 });
await goTo("#/endpoints");
await page.locator(".row", { hasText: "failing for" }).waitFor();
await page.locator(".live[data-live=true]").waitFor();
await page.screenshot({ path: path.join(DOCS, "portal-phone.png") });
await browser.close();
await scene.close();
