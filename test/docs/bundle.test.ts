/** The Worker stays small, with the API document in it; the page at /docs is an asset beside it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";

const root = path.resolve(import.meta.dirname, "../..");
/** What the platform counts, as wrangler shows it. */
const GZIPPED_MAX_BYTES = 45 * 1024;

it("bundles into at most 45 KiB gzipped", () => {
  const out = mkdtempSync(path.join(tmpdir(), "bundle-"));
  try {
    const wrangler = path.join(root, "node_modules/wrangler/bin/wrangler.js");
    const args = [wrangler, "deploy", "--dry-run", "--outdir", out];
    const env = {
      ...process.env,
      WRANGLER_SEND_METRICS: "false",
      CLOUDFLARE_CF_FETCH_ENABLED: "false",
    };
    execFileSync(process.execPath, args, { cwd: root, env, stdio: "pipe" });
    const bundle = readFileSync(path.join(out, "index.js"));
    expect(bundle.length).toBeGreaterThan(100_000);
    expect(gzipSync(bundle).length).toBeLessThanOrEqual(GZIPPED_MAX_BYTES);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});
