/** A Worker of a script's own, as `npm run dev` runs it: free ports, empty stores, and nothing left at the end. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { serveConvoy } from "../local/convoy/server.ts";
import { devSettings } from "../local/dev/settings.ts";
import { type DevWorker, migrate, serveWorker } from "../local/dev/worker.ts";
import { writeAssets } from "../openapi/assets.ts";
import { mintToken } from "../src/token.ts";

const root = path.dirname(import.meta.dirname);
const TOKEN_S = 3_600;

/** The Worker; `tokenOf` makes an owner's token, for AUTH=jwt. */
export type OwnWorker = DevWorker & { tokenOf: (owner: string) => Promise<string> };

/** Starts one with these settings, and the local Convoy if they name none; runs `use`, and ends it. */
export async function withWorker<T>(
  settings: Record<string, string>,
  use: (worker: OwnWorker) => Promise<T>,
): Promise<T> {
  const state = await mkdtemp(path.join(tmpdir(), "todo-"));
  const convoy = settings.CONVOY_BASE_URL ? undefined : await serveConvoy({ port: 0 });
  const AUTH_SECRET = crypto.randomUUID();
  const all = devSettings({ AUTH_SECRET, ...settings }, convoy?.url ?? "");
  try {
    writeAssets();
    await migrate(root, state);
    const worker = await serveWorker({ root, port: 0, settings: all, state, interactive: false });
    const tokenOf = (owner: string) => mintToken({ AUTH_SECRET }, owner, { expiresInS: TOKEN_S });
    return await use({ ...worker, tokenOf }).finally(() => worker.close());
  } finally {
    await convoy?.close();
    await rm(state, { recursive: true, force: true });
  }
}
