/**
 * npm run deploy [-- options]: deploys the Worker, or a new version of it. There are no prompts, and wrangler.toml stays
 * unchanged (docs/deploy.md).
 */
import "../local/wrangler-env.ts";
import path from "node:path";
import { run } from "../local/wrangler.ts";
import { writeAssets } from "../openapi/assets.ts";
import { deploy } from "./deploy/deploy.ts";

const root = path.join(import.meta.dirname, "..");

process.exitCode = await deploy(process.argv.slice(2), {
  root,
  env: process.env,
  writeAssets,
  wrangler: (args, options) => run(root, args, options),
});
