/** What the gateway says while somebody is looking at deliveries: live, without waiting for the walk. */
import { logError } from "../run.ts";
import type { Bindings } from "../settings.ts";
import type { Attempt, Gateway, GatewayDelivery } from "./gateway.ts";
import { CLOCK_SKEW_MS, type Learned, ownAmong, record, withAnswers } from "./learn.ts";
import type { DeliveryOfEvent } from "./lists.ts";
import type { Outbox } from "./outbox.ts";
import { keyOf, presentKey } from "./rows.ts";

// The gateway is asked at most this often for an owner.
const EVERY_MS = 3_000;
// Deliveries of one list, and endpoints that it names.
const LIMIT = 100;
const ENDPOINTS_MAX = 40;
// Failed ones whose last answer is asked for.
const ANSWERS_MAX = 3;
// What one list is about was taken within this time.
const WINDOW_MS = 600_000;
// Owners whose last answer an isolate remembers.
const REMEMBERED_MAX = 500;

/** What the gateway said, by key; `error`: why the gateway did not answer the last one. */
export type Seen = { seen: Map<string, Learned>; error: string | null };

type Said = Seen & { at: number };

/** What asking needs of a delivery. */
export type LiveRow = Pick<
  DeliveryOfEvent,
  "id" | "endpoint_id" | "key_version" | "status" | "accepted_at"
>;

/** Nobody was asked. */
export const NOTHING: Seen = { seen: new Map(), error: null };

// This isolate's last answer for each owner of each database.
const answers = new WeakMap<D1Database, Map<string, Said>>();

/**
 * What the gateway says about those of an owner's deliveries that it is sending, by key; nothing if it does not answer.
 * Records only what is final, each matched to the owner's own row and endpoint.
 */
export async function askLive(
  env: Bindings,
  outbox: Outbox,
  owner: string,
  rows: LiveRow[],
): Promise<Seen> {
  const sending = together(rows.filter(({ status }) => status === "sending"));
  const known = answers.get(env.DB) ?? new Map<string, Said>();
  answers.set(env.DB, known);
  const last = known.get(owner);
  const now = Date.now();
  if (sending.length === 0) return NOTHING;
  if (last && now - last.at < EVERY_MS) return last;
  // Noted before the answer: of polls at once, one asks.
  const mine: Said = { ...(last ?? NOTHING), at: now };
  remember(known, owner, mine);
  const endpointIds = [...new Set(sending.map(({ endpoint_id }) => endpoint_id))];
  const fromMs = Math.min(...sending.map(({ accepted_at }) => accepted_at ?? now)) - CLOCK_SKEW_MS;
  const listed = await outbox.connect(env).list({
    ...{ fromMs, toMs: now + CLOCK_SKEW_MS, cursor: null, limit: LIMIT },
    endpointIds: endpointIds.slice(0, ENDPOINTS_MAX),
  });
  mine.error = listed.kind === "silent" ? listed.error : null;
  if (listed.kind === "page") {
    mine.seen = await recordFinal(env, outbox, owner, sending, listed.deliveries);
  }
  return mine;
}

/** Those that the gateway took about when it took the newest: one page of its list has them. The others are looked up. */
function together(rows: LiveRow[]): LiveRow[] {
  const newest = Math.max(...rows.map(({ accepted_at }) => accepted_at ?? 0));
  return rows.filter(({ accepted_at }) => (accepted_at ?? 0) >= newest - WINDOW_MS);
}

function remember(known: Map<string, Said>, owner: string, mine: Said): void {
  known.delete(owner);
  known.set(owner, mine);
  const [oldest] = known.keys();
  if (known.size > REMEMBERED_MAX && oldest !== undefined) known.delete(oldest);
}

/** @returns what is about these rows, by key; what could not be recorded, too */
async function recordFinal(
  env: Bindings,
  outbox: Outbox,
  owner: string,
  rows: LiveRow[],
  deliveries: GatewayDelivery[],
): Promise<Map<string, Learned>> {
  const keys = new Set(rows.map(presentKey));
  const learned = ownAmong(deliveries).filter(({ key }) => keys.has(key));
  const isFinal = learned.filter(
    ({ progress }) => progress === "success" || progress === "failure",
  );
  const final = await withAnswers(outbox.connect(env), isFinal, ANSWERS_MAX);
  await record(env.DB, outbox.endpoints, final, { at: Date.now(), owner }).catch((error) =>
    logError({ owner, live: rows.length }, error),
  );
  // Those that ended, with what their endpoints answered.
  return new Map([...learned, ...final].map((one) => [one.key, one]));
}

// The attempts of this many of a delivery's newest keys are shown.
const SHOWN_KEYS_MAX = 3;

/** The attempts of a delivery, oldest first; or why the gateway does not say. `now`: what it says of the present key. */
export type LiveOne = {
  now: Learned | undefined;
  attempts: Attempt[] | null;
  error: string | null;
};

/** Asks the gateway for one delivery and its attempts, and records a final status. */
export async function askLiveOne(
  env: Bindings,
  outbox: Outbox,
  row: DeliveryOfEvent,
): Promise<LiveOne> {
  const gateway = outbox.connect(env);
  const versions = Array.from({ length: row.key_version + 1 }, (_, version) => version);
  const shown = await Promise.all(
    versions.slice(-SHOWN_KEYS_MAX).map((version) => attemptsOf(gateway, row, version)),
  );
  const silent = shown.find(({ error }) => error !== null);
  if (silent) return { now: undefined, attempts: null, error: silent.error };
  const found = shown.at(-1)?.delivery;
  const seen = await recordFinal(env, outbox, row.owner, [row], found ? [found] : []);
  const now = seen.get(presentKey(row));
  return { now, attempts: shown.flatMap(({ attempts }) => attempts), error: null };
}

async function attemptsOf(gateway: Gateway, { id, endpoint_id }: DeliveryOfEvent, version: number) {
  const none = { delivery: null, attempts: [] as Attempt[], error: null };
  const found = await gateway.find(keyOf(id, endpoint_id, version), endpoint_id);
  if (found.kind === "silent") return { ...none, error: found.error };
  if (found.kind !== "delivery") return none;
  const made = await gateway.attempts(found.delivery.id);
  if (made.kind === "silent") return { ...none, error: made.error };
  return { delivery: found.delivery, attempts: made.attempts, error: null };
}
