// The portal by keyboard alone, in light and dark, on a phone.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { expect, test } from "vitest";
import type { PortalScene } from "./scene.ts";
import { has, type Visit } from "./visit.ts";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Registers these tests; the scene exists once they run. */
export function accessTests(scene: () => PortalScene, visit: Visit) {
  test("can be used by keyboard alone, and the focus returns from a dialog", async () => {
    const { owner } = await scene().newcomer();
    const { page, button, dialog } = await visit(owner.link);
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
    expect(await focused()).toBe("Skip to content");
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
    await page.keyboard.type(`${scene().receiverUrl}/ok`);
    await page.keyboard.press("Enter");
    await page.locator("#new-secret").waitFor();
    await tabTo("I have stored the secret");
    await page.keyboard.press("Enter");
    await dialog().waitFor({ state: "hidden" });
    await button("Send a ping").waitFor();
    await tabTo("Send a ping");
    await page.keyboard.press("Enter");
    await has(page.locator(".ping"), "Arrived");
  });

  test("axe finds nothing, and nothing is wider than the window: light, dark, on a phone", async () => {
    const { owner, endpoint, todo, giveUp } = await scene().newcomer();
    const failing = await endpoint(
      "/fail",
      "A failing endpoint with a name that is rather long for a phone",
    );
    const good = await endpoint("/ok", "Shop backend");
    await todo(failing.id, "y".repeat(300));
    for (let i = 0; i < 3; i++) await todo(good.id, `todo ${i}`);
    await todo(good.id, "lost");
    await scene().arrived("/fail", 3);
    await giveUp("%lost%");
    await scene()
      .db.prepare(
        "UPDATE event SET occurred_at = occurred_at - 240000, state = 'pending', accepted_at = NULL, finished_at = NULL, error = 'Convoy not reachable', due_at = 9000000000000 WHERE owner = ? AND todo LIKE '%todo 1%'",
      )
      .bind(owner.name)
      .run();
    const { page, button, link, dialog, deliveries, row, goTo } = await visit(owner.link);
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
        "a secret",
        async () => {
          await dialog().getByLabel("Name").fill("Another");
          await dialog().getByLabel("URL").fill(`${scene().receiverUrl}/another`);
          await button("Add").click();
          await page.locator("#new-secret").waitFor();
        },
      ],
      [
        "an endpoint",
        async () => {
          await button("I have stored the secret").click();
          await link("Endpoints").first().click();
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
    /** Rules that depend on the theme or the width are checked for each, the rest once. */
    const themes = [
      { width: 1280, dark: false, rules: undefined },
      { width: 1280, dark: true, rules: ["color-contrast"] },
      { width: 390, dark: false, rules: ["color-contrast", "scrollable-region-focusable"] },
    ];
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
}
