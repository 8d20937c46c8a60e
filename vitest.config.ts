import "./local/wrangler-env.ts";
import { availableParallelism } from "node:os";
import path from "node:path";
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";
import { outbound } from "./test/support/outbound.ts";

const root = import.meta.dirname;

export default defineConfig({
  test: {
    // One more than there are cores: a browser's or a server's tests wait now and then.
    maxWorkers: availableParallelism() + 1,
    // The generated files of public/, as after a change of a schema.
    globalSetup: "test/support/assets.ts",
    // What the Worker logs on purpose would bury the results.
    onConsoleLog: (log) => !log.startsWith('{"level":'),
    // Ours comes last: its line is the last one.
    reporters: ["default", "./test/support/reporter.ts"],
    projects: [
      {
        // In workerd, with real KV and D1 of Miniflare: mirrors src/.
        plugins: [
          cloudflareTest(async () => ({
            wrangler: { configPath: path.join(root, "wrangler.toml") },
            miniflare: {
              bindings: {
                TEST_MIGRATIONS: await readD1Migrations(path.join(root, "migrations")),
                AUTH: "open",
                CONVOY_BASE_URL: "http://shared.convoy.test/api",
                CONVOY_API_KEY: "local",
                CONVOY_PROJECT_ID: "local",
              },
              // The network fails closed: only *.convoy.test answers, each a local Convoy in memory.
              outboundService: outbound,
            },
          })),
        ],
        test: {
          name: "worker",
          // One workerd for many files: to start one costs more than most of them. Stores are reset for each test.
          isolate: false,
          restoreMocks: true,
          root,
          include: ["test/worker/**/*.test.ts"],
          setupFiles: ["test/support/setup-worker.ts"],
        },
      },
      {
        // In Node: the local Convoy, crash matrix, races, the whole system, the browser, the example receiver.
        test: {
          name: "node",
          // To load the same modules for each file again costs more than many of them.
          isolate: false,
          restoreMocks: true,
          root,
          include: [
            "test/{local,contract,crash,races,life,e2e,browser,docs,receiver}/**/*.test.ts",
          ],
          // Far beyond what a test needs: even on a busy machine only a real failure gets here.
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
