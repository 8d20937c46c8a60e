// The portal by keyboard alone, in light and dark, on a phone.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import type { PortalScene } from "./scene.ts";
import { has, hasLater, type Visit } from "./visit.ts";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Each theme and each width once; the rules that depend on neither are checked in the first alone. */
const THEMES = [
  { width: 1280, dark: false, rules: undefined },
  { width: 390, dark: true, rules: ["color-contrast", "scrollable-region-focusable"] },
];

/** Nothing is kept about what passes, and no style sheet is fetched again: no rule that runs needs it. */
const LIGHT = { resultTypes: ["violations"], preload: false };

/** Checks that axe finds nothing and nothing is wider than the window, in each theme. */
export async function expectAccessible(page: Page, name: string): Promise<void> {
  if (await page.evaluate<boolean>("!window.axe")) await page.evaluate(axe);
  for (const { width, dark, rules } of THEMES) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme: dark ? "dark" : "light" });
    const findings = await page.evaluate<
      string[]
    >(`axe.run(${JSON.stringify({ runOnly: rules, ...LIGHT })})
      .then(({ violations }) => violations.map(({ id, nodes }) =>
        id + ": " + nodes.map(({ target }) => target).join(", ")))`);
    const wide = await page.evaluate<number>(
      "Math.max(0, document.documentElement.scrollWidth - innerWidth)",
    );
    const found = { name, width, dark, findings, wide };
    expect(found).toEqual({ name, width, dark, findings: [], wide: 0 });
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.emulateMedia({ colorScheme: "light" });
}

/** What a person does who has no pointer. */
function keyboardOf(page: Page) {
  const focused = () =>
    page.evaluate<string>(
      "document.activeElement.matches('main, body') ? document.activeElement.id : document.activeElement.textContent.trim()",
    );
  return {
    focused,
    /** Goes on with Tab until something with this text has the focus. */
    async tabTo(name: string) {
      for (let i = 0; i < 40 && !(await focused()).includes(name); i++)
        await page.keyboard.press("Tab");
      expect(await focused()).toContain(name);
    },
  };
}

/** Registers these tests; the scene exists once they run. */
export function accessTests(scene: () => PortalScene, visit: Visit) {
  test("by keyboard alone: what failed, why, send it again; resend many", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const { id } = await endpoint("/later", "Receiver");
    scene().failing.add("/later");
    for (const item of ["first", "second"]) await todo(id, item);
    await scene().arrived("/later", 6);
    const { page, row, dialog } = await visit(owner.link, { clock: true });
    await has(row("first"), "failed");
    await has(row("second"), "failed");
    const { focused, tabTo } = keyboardOf(page);
    await page.keyboard.press("Tab");
    expect(await focused()).toBe("Skip to content");
    await page.keyboard.press("Enter");
    expect(await page.evaluate<string>("document.activeElement.id")).toBe("main");
    await tabTo("second");
    await page.keyboard.press("Enter");
    await page.locator(".attempt").nth(2).waitFor();
    scene().failing.delete("/later");
    await tabTo("Send again");
    await page.keyboard.press("Enter");
    await hasLater(page.locator(".head .pill"), "delivered");
    await page.goBack();
    await row("second").waitFor();
    expect(await focused()).toContain("second");

    await page.keyboard.press("Shift+Tab");
    for (let i = 0; i < 10 && (await focused()) !== "Resend failed …"; i++)
      await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Enter");
    await has(dialog(), "1 failed delivery will be sent again");
    await tabTo("Resend 1");
    await page.keyboard.press("Enter");
    await has(page.locator(".round"), "1 delivery queued");
    await scene().sweep();
    await hasLater(page.locator(".round"), "all arrived");
  });

  test("by keyboard alone: add an endpoint, ping it; the focus returns from a dialog", async () => {
    const { owner } = await scene().newcomer();
    const { page, button, dialog, link } = await visit(owner.link);
    await link("Endpoints").waitFor();
    const { focused, tabTo } = keyboardOf(page);
    await tabTo("Endpoints");
    await page.keyboard.press("Enter");
    await button("Add endpoint").waitFor();
    await tabTo("Add endpoint");
    await page.keyboard.press("Enter");
    await dialog().waitFor();
    await page.keyboard.press("Escape");
    await dialog().waitFor({ state: "hidden" });
    expect(await focused()).toBe("Add endpoint");
    await page.keyboard.press("Enter");
    await page.keyboard.type("By keyboard");
    await page.keyboard.press("Tab");
    await page.keyboard.type(`${scene().receiverUrl}/ok`);
    await page.keyboard.press("Enter");
    await page.locator("#new-secret").waitFor();
    await tabTo("I have stored the secret");
    await page.keyboard.press("Enter");
    await dialog().waitFor({ state: "hidden" });
    await button("Send a ping").waitFor();
    await tabTo("Send a ping");
    await page.keyboard.press("Enter");
    await has(page.locator(".test"), "accepted it");
  });

  test("axe finds nothing, and nothing is wider than the window: light, dark, on a phone", async () => {
    const { owner, endpoint, todo } = await scene().newcomer();
    const failing = await endpoint("/fail", "A failing endpoint with a name that is rather long");
    const paused = await endpoint("/ok", "Shop backend");
    await todo(failing.id, "y".repeat(300));
    await scene().arrived("/fail", 3);
    await owner.call("POST", `/endpoint/${paused.id}/pause`);
    await todo(paused.id, "waits");
    const { page, button, link, dialog, deliveries, row, goTo } = await visit(owner.link);
    const looks: [string, () => Promise<void>][] = [
      ["deliveries", () => has(row("yyy"), "failed")],
      [
        "a resend",
        async () => {
          await button("Resend failed …").click();
          await has(dialog(), "1 failed delivery");
        },
      ],
      [
        "a delivery",
        async () => {
          await button("Cancel").click();
          await row("yyy").click();
          await page.locator(".attempt").nth(2).waitFor();
          await page.locator("summary", { hasText: /^Headers$/ }).click();
        },
      ],
      [
        "endpoints",
        async () => {
          await link("Endpoints").click();
          await has(row("A failing"), "failing for");
        },
      ],
      [
        "the form",
        async () => {
          await button("Add endpoint").click();
          await dialog()
            .getByLabel(/All, also/)
            .uncheck();
          await page.locator("summary", { hasText: "A header" }).click();
          await button("Add").click();
          await page.locator("#url-wrong").waitFor();
        },
      ],
      [
        "a secret",
        async () => {
          await dialog().getByLabel("Name").fill("Another");
          await dialog().getByLabel("URL").fill(`${scene().receiverUrl}/another`);
          await dialog()
            .getByLabel(/All, also/)
            .check();
          await button("Add").click();
          await page.locator("#new-secret").waitFor();
        },
      ],
      [
        "an endpoint",
        async () => {
          await button("I have stored the secret").click();
          await link("Endpoints").click();
          await row("A failing endpoint").click();
          await deliveries().first().waitFor();
        },
      ],
      [
        "a test event",
        async () => {
          await button("Send a test event …").click();
          await dialog().waitFor();
        },
      ],
      [
        "a paused endpoint",
        async () => {
          await button("Cancel").click();
          await goTo(`#/endpoint/${paused.id}`);
          await has(page.locator(".note"), "Paused");
          // The pill and the note are as high as their text.
          const heights = await page.evaluate<number[]>(
            "[...document.querySelectorAll('.head .pill, .note')].map((one) => one.offsetHeight - one.scrollHeight)",
          );
          expect(heights.every((more) => more >= 0)).toBe(true);
        },
      ],
      [
        "events",
        async () => {
          await link("Events").click();
          await row("yyy").waitFor();
        },
      ],
      [
        "an event",
        async () => {
          await row("yyy").click();
          await deliveries().waitFor();
        },
      ],
      [
        "types",
        async () => {
          await link("Types").click();
          await page.getByRole("heading", { name: "Event types" }).waitFor();
          await page.getByRole("region").first().waitFor();
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
    for (const [name, look] of looks) {
      await look();
      await expectAccessible(page, name);
    }
  });
}
