/** The promises of docs/design.md, section 1, as checks: what the callers know against what is there. */
import type { Accepted, Call, Committed, World } from "./world.ts";

type Todo = Record<string, unknown>;

const TYPES: Record<string, string> = { POST: "created", PUT: "updated", DELETE: "deleted" };
const OWNER = "default";

/** All that is broken, each in a sentence; empty where every promise holds. Time must have passed (`recover`). */
export async function brokenPromises(world: World): Promise<string[]> {
  const history = world.history();
  const accepted = await world.accepted();
  const calls = world.calls.filter(({ url }) => /^\/todo(\/|\?|$)/.test(url));
  const changes = calls.filter(({ method }) => method !== "GET");
  return [
    ...changesWithoutEvent(changes, history),
    ...eventsWithoutChange(changes, history),
    ...illegalHistory(changes, history),
    ...notAcceptedOnce(history, accepted),
    ...phantoms(history, accepted),
    ...badReplays(world.calls, accepted),
    ...kvDiffers(world, history),
    ...unfinished(world),
  ];
}

/** G1: an acknowledged change has exactly one event, of its type. */
function changesWithoutEvent(changes: Call[], history: Committed[]): string[] {
  return changes.filter(isDone).flatMap((call) => {
    const found = history.filter(({ id }) => id === call.eventId);
    const fits = found.length === 1 && found[0]!.type === TYPES[call.method];
    return fits ? [] : [`G1: ${name(call)} has ${found.length} events`];
  });
}

/** G2: an event of a change is of a call that was acknowledged, or that got no clear answer. */
function eventsWithoutChange(changes: Call[], history: Committed[]): string[] {
  const known = new Set(changes.filter(isDone).map(({ eventId }) => eventId));
  const open = changes.filter(isOpen);
  const broken: string[] = [];
  for (const event of history.filter(isChange)) {
    if (known.has(event.id)) continue;
    const at = open.findIndex((call) => mayBe(call, event));
    if (at < 0) broken.push(`G2: event ${event.seq} ${event.type} is of no call`);
    else open.splice(at, 1);
  }
  return broken;
}

/** G2: each event is legal after the one before it, and holds all fields of all changes so far. */
function illegalHistory(changes: Call[], history: Committed[]): string[] {
  const broken: string[] = [];
  const now = new Map<number, Todo | null>();
  for (const event of history.filter(isChange)) {
    const before = now.get(event.todo_id!) ?? null;
    if ((event.type === "created") === (before !== null)) {
      broken.push(
        `G2: event ${event.seq} ${event.type}, but the todo was ${JSON.stringify(before)}`,
      );
    }
    const after = event.todo === null ? null : (JSON.parse(event.todo) as Todo);
    const done = changes.filter((call) => isDone(call) && call.eventId === event.id);
    const tried = done.length > 0 ? done : changes.filter((call) => mayBe(call, event));
    if (!tried.some((call) => same(merged(call, event, before), after))) {
      broken.push(`G2: lost update: event ${event.seq} ${event.type} made ${event.todo}`);
    }
    now.set(event.todo_id!, after);
  }
  return broken;
}

/** G1, G4: Convoy took every event, once. */
function notAcceptedOnce(history: Committed[], accepted: Accepted[]): string[] {
  return history.flatMap((event) => {
    const taken = accepted.filter(({ key, duplicate }) => key === event.id && !duplicate);
    return taken.length === 1
      ? []
      : [`G4: event ${event.seq} ${event.type} was taken ${taken.length} times`];
  });
}

/** G2: Convoy was told of nothing that is not in the log, and in the log's words. */
function phantoms(history: Committed[], accepted: Accepted[]): string[] {
  return accepted.flatMap(({ key, body }) => {
    const told = JSON.parse(body) as { sequence?: number; event_id: string; todo?: Todo };
    // An event of a read has no row in the log, and no sequence.
    if (told.sequence === undefined) return [];
    const event = history.find(({ id }) => id === told.event_id);
    if (!event || event.seq !== told.sequence || key.split(":")[0] !== event.id) {
      return [`G2: Convoy was told of ${body}`];
    }
    const todo = event.todo === null ? undefined : (JSON.parse(event.todo) as Todo);
    return todo && !same(todo, told.todo ?? null)
      ? [`G2: ${body} is not the log's ${event.todo}`]
      : [];
  });
}

/** A replay that was promised was taken once, and no key was made up. */
function badReplays(calls: Call[], accepted: Accepted[]): string[] {
  const replays = calls.filter(({ url }) => url.endsWith("/replay"));
  const extra = accepted.filter(({ key, duplicate }) => key.includes(":") && !duplicate);
  const broken = replays
    .filter(({ status, answer }) => status === 202 && answer?.idempotency_key)
    .flatMap(({ answer }) => {
      const taken = accepted.filter((e) => e.key === answer!.idempotency_key && !e.duplicate);
      return taken.length === 1 ? [] : [`replay ${answer!.idempotency_key}: ${taken.length} times`];
    });
  // Convoy took a key and never finished it: that is asked for a new one, once.
  const stranded = accepted.filter(
    (e) => !e.duplicate && ["Retry", "Processing"].includes(e.status),
  );
  if (extra.length > replays.length + stranded.length) {
    broken.push(
      `G4: ${extra.length} new keys, ${replays.length} replays, ${stranded.length} stranded`,
    );
  }
  return broken;
}

/** G6: KV holds the last word of every todo, and nothing else. */
export function kvDiffers(world: World, history = world.history()): string[] {
  const prefix = `todo:${btoa(OWNER)}:`;
  const words = new Map(history.filter(isChange).map((event) => [event.todo_id!, event]));
  const held = world.kv.now();
  const broken: string[] = [];
  for (const [id, word] of words) {
    const key = `${prefix}${String(id).padStart(16, "0")}`;
    const entry = held.get(key);
    const seq = (entry?.metadata as { seq?: number } | undefined)?.seq;
    held.delete(key);
    const right = word.todo === null ? !entry : entry?.value === word.todo && seq === word.seq;
    if (!right)
      broken.push(`G6: KV has ${entry?.value} (${seq}), the log ${word.todo} (${word.seq})`);
  }
  for (const key of held.keys()) broken.push(`G6: KV has ${key}, of which the log knows nothing`);
  return broken;
}

/** Nothing waits for ever; nothing is given up but what is for an endpoint that is gone. */
function unfinished(world: World): string[] {
  const rows = world.rows<{ seq: number; state: string; stored: number | null }>(
    `SELECT seq, state, stored FROM event AS e WHERE due_at IS NOT NULL OR state = 'pending'
       OR stored = 0 OR (state = 'dead' AND (endpoint_id IS NULL
         OR EXISTS (SELECT 1 FROM endpoint WHERE id = e.endpoint_id)))`,
  );
  const moves = world.rows<{ id: string; status: string }>(
    "SELECT id, status FROM endpoint WHERE status IN ('creating', 'pausing', 'activating')",
  );
  return [
    ...rows.map((row) => `G1: event ${row.seq} stays ${row.state}, stored ${row.stored}`),
    ...moves.map((row) => `an endpoint stays ${row.status}`),
  ];
}

function isDone({ status }: Call): boolean {
  return status !== null && status < 300;
}

/** No answer, or one that says that the outcome is unknown. */
function isOpen({ status, eventId }: Call): boolean {
  return status === null || (status >= 500 && eventId !== null);
}

function isChange({ type }: Committed): boolean {
  return ["created", "updated", "deleted"].includes(type);
}

function mayBe(call: Call, event: Committed): boolean {
  const id = /^\/todo\/(\d+)/.exec(call.url)?.[1] ?? call.body?.id;
  const sameTodo = id === undefined || Number(id) === event.todo_id;
  const sameEvent = call.eventId === null || call.eventId === event.id;
  return isOpen(call) && TYPES[call.method] === event.type && sameTodo && sameEvent;
}

function merged(call: Call, event: Committed, before: Todo | null): Todo | null {
  if (event.type === "deleted") return null;
  const made = { id: event.todo_id, completed: false };
  return event.type === "created" ? { ...made, ...call.body } : { ...before, ...call.body };
}

function same(a: Todo | null, b: Todo | null): boolean {
  const sorted = (todo: Todo | null) => todo && JSON.stringify(Object.entries(todo).sort());
  return sorted(a) === sorted(b);
}

function name({ method, url, status }: Call): string {
  return `${method} ${url} (${status})`;
}
