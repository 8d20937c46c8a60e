/** Replay: ours, since Convoy's own event replay answers 200 and delivers nothing (recorded). */
import { type Bindings, REPLAY_MAX } from "../config.ts";
import { type LogRow, reopenDead, reopenEvent } from "./log.ts";
import { idempotencyKey } from "./message.ts";
import type { Logged } from "./publish.ts";

/** An event that is about to be posted again, under `key`; `logged` is to be finished in waitUntil. */
export type Replayed = { key: string; logged: Logged };

/**
 * Opens one event again: a dead one under its key, a finished one under a new key and the same event_id.
 * @returns null where it is not the owner's, or still under way
 * @throws StorageError
 */
export async function replay(env: Bindings, owner: string, id: string): Promise<Replayed | null> {
  const row = await reopenEvent(env.DB, owner, id, Date.now());
  return row && { key: idempotencyKey(row), logged: toLogged(owner, row) };
}

/** Opens the owner's dead events again, for the sweeper. @returns how many @throws StorageError */
export function replayDead(env: Bindings, owner: string): Promise<number> {
  return reopenDead(env.DB, owner, Date.now(), REPLAY_MAX);
}

// Its todo is in KV already: there is nothing to project.
function toLogged(owner: string, row: LogRow & { lease: number }): Logged {
  return { ...row, owner, put: null, isChange: false };
}
