// The portal in a real browser, against the Worker and a local Convoy.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect } from "vitest";
import { startBrowser } from "./browser.ts";
import { accessTests } from "./portal/access.ts";
import { deliveriesTests } from "./portal/deliveries.ts";
import { endpointsTests } from "./portal/endpoints.ts";
import { eventsTests } from "./portal/events.ts";
import { operatorTests } from "./portal/operator.ts";
import { recoverTests } from "./portal/recover.ts";
import { safetyTests } from "./portal/safety.ts";
import { type PortalScene, startPortalScene } from "./portal/scene.ts";
import { serviceTests } from "./portal/service.ts";
import { sizesTests } from "./portal/sizes.ts";
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
    scene.failing.delete("/later");
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
  describe("deliveries", () => deliveriesTests(() => scene, visit));
  describe("recovery", () => recoverTests(() => scene, visit));
  describe("endpoints", () => endpointsTests(() => scene, visit));
  describe("events", () => eventsTests(() => scene, visit));
  describe("the service", () => serviceTests(() => scene, visit));
  describe("operators", () => operatorTests(() => scene, visit));
  describe("safety", () => safetyTests(() => scene, visit));
  describe("access", () => accessTests(() => scene, visit));
  describe("sizes", () => sizesTests(visit));
});
