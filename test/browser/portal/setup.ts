// What the portal's tests start and end: pages, and the system behind them.
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { type PortalScene, startPortalScene } from "./scene.ts";
import { openPortal, type Visit, type Visited } from "./visit.ts";

/** Opens pages for the tests of this describe; each is closed after its test, which fails if the page complained. */
export function useVisits(browser: Browser | null): Visit {
  const visits: Visited[] = [];
  afterEach(async () => {
    for (const { page, complaints } of visits.splice(0)) {
      await page.context().close();
      expect(complaints).toEqual([]);
    }
  });
  return async (url, options) => {
    const visited = await openPortal(browser!, url, options);
    visits.push(visited);
    return visited;
  };
}

/** A system for the tests of this file, in which each of them finds Convoy and the receiver well. */
export function useScene(): () => PortalScene {
  let scene: PortalScene;
  beforeAll(async () => {
    scene = await startPortalScene();
  });
  beforeEach(() => {
    scene.arrivals.length = 0;
    scene.failing.delete("/later");
  });
  afterEach(() => scene.convoy.setFaults({}));
  afterAll(() => scene?.close());
  return () => scene;
}
