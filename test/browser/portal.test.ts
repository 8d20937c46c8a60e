// The portal in a real browser, on the built Worker and the local Convoy, as its owners use it.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect } from "vitest";
import { startBrowser } from "./browser.ts";
import { accessTests } from "./portal/access.ts";
import { endpointsTests } from "./portal/endpoints.ts";
import { eventsTests } from "./portal/events.ts";
import { safetyTests } from "./portal/safety.ts";
import { type PortalScene, startPortalScene } from "./portal/scene.ts";
import { openPortal, type Visit, type Visited } from "./portal/visit.ts";

const browser = await startBrowser();

describe.skipIf(browser === null)("the portal", () => {
  let scene: PortalScene;
  const visits: Visited[] = [];

  beforeAll(async () => {
    scene = await startPortalScene();
  });
  afterAll(async () => {
    await browser?.close();
    await scene?.close();
  });
  beforeEach(() => {
    scene.arrivals.length = 0;
  });
  afterEach(async () => {
    await scene.convoy.setFaults({});
    for (const { page, complaints } of visits.splice(0)) {
      await page.context().close();
      expect(complaints).toEqual([]);
    }
  });

  const visit: Visit = async (url, options) => {
    const visited = await openPortal(browser!, url, options);
    visits.push(visited);
    return visited;
  };
  endpointsTests(() => scene, visit);
  eventsTests(() => scene, visit);
  safetyTests(() => scene, visit);
  accessTests(() => scene, visit);
});
