/** What the agenda reads for the log's tasks: the proof that the gateway finishes deliveries. */
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { STUCK_MS } from "../../../src/outbox/learn.ts";
import { TASKS } from "../../../src/outbox/tasks.ts";
import { idAt } from "../../../src/outbox/time-range.ts";

const MINUTE_MS = 60_000;
const NOW = Date.UTC(2026, 10, 24, 12);

const proof = async () => {
  const { columns } = TASKS.find(({ name }) => name === "walk") ?? {};
  const row = await env.DB.prepare(`SELECT ${columns} FROM cron_state AS s`)
    .bind(NOW)
    .first<{ proof_made_at: number | null }>();
  return row?.proof_made_at ?? null;
};

/** An event of so many minutes ago; its delivery was taken then, and is what `finished` says, so many minutes ago. */
async function leave(minutes: number, finished: number | "sending"): Promise<void> {
  const at = NOW - minutes * MINUTE_MS;
  const ended = finished === "sending" ? null : NOW - finished * MINUTE_MS;
  const due = finished === "sending" ? NOW : null;
  await env.DB.batch([
    env.DB.prepare(
      "INSERT INTO event (id, owner, type, occurred_at) VALUES (?1, 'a', 'ping', ?2)",
    ).bind(idAt(at), at),
    env.DB.prepare(
      `INSERT INTO delivery (event_seq, endpoint_id, owner, type, status, accepted_at, finished_at, due_at)
       SELECT seq, 'e', 'a', 'ping', ?2, ?3, ?4, ?5 FROM event WHERE id = ?1`,
    ).bind(idAt(at), ended === null ? "sending" : "delivered", at, ended, due),
  ]);
}

test("the newest delivery that was finished half an hour ago is the proof, also where nothing came since", async () => {
  await leave(600, 599);
  expect(await proof()).toBeNull();
  await leave(500, "sending");
  expect(await proof()).toBe(NOW - 600 * MINUTE_MS);
  await leave(90, 80);
  await leave(60, 29);
  await leave(20, 19);
  expect(await proof()).toBe(NOW - 90 * MINUTE_MS);
  expect(STUCK_MS).toBe(30 * MINUTE_MS);
});
