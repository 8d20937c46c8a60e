// The pages beside the Worker and its local Convoy, in a real browser: the portal, the API reference, the inbox.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createEndpoint } from "../support/client.ts";
import { openInbox, startBrowser } from "./browser.ts";
import { accessTests } from "./portal/access.ts";
import { addressTests } from "./portal/address.ts";
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
import { pageTests, referenceTests } from "./reference.ts";

const browser = await startBrowser();

let scene: PortalScene;
beforeAll(async () => {
  scene = await startPortalScene();
});
afterAll(async () => {
  await browser?.close();
  await scene?.close();
});

describe("the API reference", () => referenceTests(() => scene.url));
describe.skipIf(browser === null)("the API reference's page", () =>
  pageTests(() => scene.url, browser!),
);

test.skipIf(browser === null)(
  "a todo created through the Worker shows up in an open inbox without a reload",
  async () => {
    const { owner } = await scene.newcomer();
    const { page, complaints } = await openInbox(browser!, new URL("/", scene.convoy.apiUrl).href);
    const { id, secret } = await createEndpoint(owner.call, `${scene.receiver.url}/hook`);
    scene.receiver.trust(secret);
    const answer = await owner.call("POST", `/todo?endpoint=${id}`, { id: 1, item: "Buy milk" });
    expect(answer.status).toBe(201);
    const row = page.locator(".row", { hasText: "Buy milk" });
    await row.locator(".status", { hasText: "Success" }).waitFor();
    expect(await row.locator(".signature").textContent()).toBe("valid");
    expect(await row.locator(".type").textContent()).toBe("created");
    expect(scene.receiver.received.map(({ refused }) => refused)).toEqual([undefined]);
    await page.context().close();
    expect(complaints).toEqual([]);
  },
);

describe.skipIf(browser === null)("the portal", () => {
  const visits: Visited[] = [];
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
  describe("filters", () => addressTests(visit));
});
