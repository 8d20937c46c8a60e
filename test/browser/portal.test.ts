// The portal beside the Worker, in a real browser: endpoints, polls, by keyboard.
import { afterAll, describe } from "vitest";
import { startBrowser } from "./browser.ts";
import { accessTests } from "./portal/access.ts";
import { endpointsTests } from "./portal/endpoints.ts";
import { serviceTests } from "./portal/service.ts";
import { useScene, useVisits } from "./portal/setup.ts";

const browser = await startBrowser();
afterAll(() => browser?.close());

describe.skipIf(browser === null)("the portal", () => {
  const scene = useScene();
  const visit = useVisits(browser);
  describe("endpoints", () => endpointsTests(scene, visit));
  describe("the service", () => serviceTests(scene, visit));
  describe("access", () => accessTests(scene, visit));
});
