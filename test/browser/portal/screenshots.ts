// Takes the screenshots of docs/portal.md and the README: node test/browser/portal/screenshots.ts
import path from "node:path";
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
    .prepare("UPDATE endpoint SET url = ? WHERE id = ?")
    .bind(url, body.endpoint.id)
    .run();
  return body.endpoint.id;
}

const shop = await endpoint("Shop backend", "/shop", "https://shop.acme.example/webhooks");
const warehouse = await endpoint(
  "Warehouse",
  "/warehouse",
  "https://hooks.warehouse.example/todos",
);
const staging = await endpoint("Staging", "/staging", "https://staging.acme.example/webhooks");

let sent = 0;
const send = async (id: string, item: string) => {
  await owner.call("POST", `/todo?endpoint=${id}`, { item });
  sent++;
};
for (let i = 0; i < 24; i++) await send(shop, `Order ${1_000 + i}`);
for (let i = 0; i < 72; i++) {
  // An outage in the middle, and one at the end.
  const down = (i >= 31 && i < 37) || i >= 70;
  await until("what was sent", async () => scene.arrivals.length >= sent);
  await scene.convoy.idle();
  scene.failing[down ? "add" : "delete"]("/warehouse");
  if (down) sent += 2;
  await send(warehouse, `Pallet ${200 + i}`);
}
await owner.call("POST", `/endpoint/${staging}/pause`);
await scene.convoy.idle();

for (const dark of [false, true]) {
  const { page } = await openPortal(browser, owner.link, { height: 900, dark });
  await page.locator(".row", { hasText: "Warehouse" }).click();
  await page.locator(".row.delivery").nth(71).waitFor();
  await page.locator(".row.delivery").first().click();
  await page.locator(".attempt").nth(2).waitFor();
  await page.evaluate("document.activeElement.blur()");
  await page.mouse.move(0, 0);
  await page.screenshot({ path: path.join(DOCS, `portal-${dark ? "dark" : "light"}.png`) });
  await page.context().close();
}
const { page } = await openPortal(browser, owner.link, { width: 390, height: 780 });
await page.locator(".bars.small").nth(1).waitFor();
await page.screenshot({ path: path.join(DOCS, "portal-phone.png") });
await browser.close();
await scene.close();
