/** How every part of the API begins. */
import { HonoBase } from "hono/hono-base";
import { TrieRouter } from "hono/router/trie-router";
import type { AppEnv } from "./app.ts";

/** An empty Hono app with the one router that method-not-allowed brings anyway: Hono's presets add others. */
export function newApp() {
  return new HonoBase<AppEnv>({ router: new TrieRouter() });
}
