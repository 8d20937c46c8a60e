/** Checks the promises of docs/design.md, section 1: what callers know against what is there. */
import { todoKey } from "../../src/todo/kv.ts";
import type { Accepted, ConvoyDouble } from "./convoy-double.ts";
import type { Call, Committed, World } from "./world.ts";

type Todo = Record<string, unknown>;

const TYPES: Record<string, string> = { POST: "created", PUT: "updated", DELETE: "deleted" };
const OWNER = "default";

/**
 * A Convoy's permanent failures. `gone`: endpoints that it no longer knows, whose events wait or are given up.
 * `poisoned`: endpoints whose events may fail there, and are then dead.
 */
export type Exceptions = {
  gone?: (endpointId: string) => boolean;
  poisoned?: (endpointId: string) => boolean;
};

/** An event with all that Convoy took of it, duplicates left out. */
type Traced = Committed & { taken: Accepted[]; asked: number };

/** Every broken promise, one sentence each; empty if all hold. Time must have passed (`recover`). */
export async function brokenPromises<C extends ConvoyDouble>(
  world: World<C>,
  exceptions: Exceptions = {},
): Promise<string[]> {
  const history = world.history();
  const accepted = await world.convoy.accepted();
  const calls = world.calls.filter(({ url }) => /^\/todo(\/|\?|$)/.test(url));
  const changes = calls.filter(({ method }) => method !== "GET");
  const isGone = ({ endpoint_id: id }: Committed) => id !== null && exceptions.gone?.(id) === true;
  const replays = world.calls.filter(({ url }) => url.endsWith("/replay"));
  const traced = traces(history, accepted, replays);
  return [
    ...changesWithoutEvent(changes, history),
    ...eventsWithoutChange(changes, history),
    ...illegalHistory(changes, history),
    ...traced.flatMap((event) =>
      isGone(event)
        ? saidToHaveCome(event)
        : [...notAcceptedOnce(event, world, exceptions), ...lostReplays(replays, event)],
    ),
    ...phantoms(history, accepted),
    ...kvDiffers(world, history),
    ...unfinishedMoves(world),
  ];
}

/** Each event with what Convoy took of it, and how many replays were asked for. */
function traces(history: Committed[], accepted: Accepted[], replays: Call[]): Traced[] {
  const taken = Map.groupBy(
    accepted.filter(({ duplicate }) => !duplicate),
    ({ key }) => key.split(":")[0],
  );
  const bulk = replays.filter(({ url }) => url === "/event/replay").length;
  return history.map((event) => ({
    ...event,
    taken: taken.get(event.id) ?? [],
    asked: bulk + replays.filter(({ url }) => url === `/event/${event.id}/replay`).length,
  }));
}

/** G1: an acknowledged change has exactly one event, of its type. */
function changesWithoutEvent(changes: Call[], history: Committed[]): string[] {
  const byId = Map.groupBy(history, ({ id }) => id);
  return changes.filter(isDone).flatMap((call) => {
    const found = byId.get(call.eventId ?? "") ?? [];
    const fits = found.length === 1 && found[0]!.type === TYPES[call.method];
    return fits ? [] : [`G1: ${name(call)} has ${found.length} events`];
  });
}

/** G2: a change's event belongs to a call that was acknowledged, or that got no clear answer. */
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
  const done = Map.groupBy(changes.filter(isDone), ({ eventId }) => eventId);
  const now = new Map<number, Todo | null>();
  for (const event of history.filter(isChange)) {
    const before = now.get(event.todo_id!) ?? null;
    if ((event.type === "created") === (before !== null)) {
      broken.push(
        `G2: event ${event.seq} ${event.type}, but the todo was ${JSON.stringify(before)}`,
      );
    }
    const after = todoOf(event);
    const tried = done.get(event.id) ?? changes.filter((call) => mayBe(call, event));
    if (!tried.some((call) => same(merged(call, event, before), after))) {
      broken.push(`G2: lost update: event ${event.seq} ${event.type} made ${event.todo}`);
    }
    now.set(event.todo_id!, after);
  }
  return broken;
}

/**
 * G1, G4: Convoy took every event once, and under another key only for a replay that was asked for, or after
 * one that it never finished. Nothing waits forever; only events for an endpoint that is gone are given up.
 */
function notAcceptedOnce<C extends ConvoyDouble>(
  event: Traced,
  world: World<C>,
  { poisoned }: Exceptions,
): string[] {
  const { id, state, taken, asked, endpoint_id: endpoint } = event;
  const say = (problem: string) => `${event.type} ${event.seq} ${id} (${state}) ${problem}`;
  const broken: string[] = [];
  const firsts = taken.filter(({ key }) => key === id).length;
  if (firsts !== 1) broken.push(say(`G4: was taken ${firsts} times`));
  const stranded = taken.filter(({ status }) => ["Retry", "Processing"].includes(status)).length;
  const delivered = taken.filter(({ status }) => status === "Success").length;
  if (taken.length > 1 + asked + stranded || event.replays > asked + stranded) {
    broken.push(
      say(
        `G4: has ${taken.length} keys, of ${event.replays}; ${asked} asked for, ${stranded} stranded`,
      ),
    );
  }
  if (delivered > 1 + asked) broken.push(say(`G4: came ${delivered} times`));

  const open = event.due_at !== null || state === "pending" || event.stored === 0;
  if (open) broken.push(say(`G1: is due at ${event.due_at}, stored ${event.stored}`));
  const mayFail = endpoint !== null && poisoned?.(endpoint) === true;
  const failed = taken.every(({ status }) => status === "Failure");
  if (delivered === 0 && !failed) broken.push(say("G1: never came"));
  // A fan-out is confirmed even if nobody subscribes to it.
  if (delivered === 0 && endpoint !== null && state === "confirmed")
    broken.push(say("G1: never came, and is confirmed"));
  if (state === "accepted") broken.push(say("G4: nobody looked whether it came"));
  if (state === "dead" && !(mayFail && delivered === 0) && !isRemoved(world, endpoint))
    broken.push(say("G1: was given up"));
  return broken;
}

/** An event for an endpoint that Convoy does not know is never reported as received. */
function saidToHaveCome(event: Traced): string[] {
  const { seq, state, taken, stored } = event;
  const came = taken.length > 0 || state === "confirmed" || state === "accepted";
  return [
    ...(came ? [`G4: event ${seq} is ${state}, and its endpoint is gone`] : []),
    ...(stored === 0 ? [`G6: event ${seq} is not in KV`] : []),
  ];
}

function isRemoved<C extends ConvoyDouble>(world: World<C>, endpointId: string | null): boolean {
  if (endpointId === null) return false;
  return world.rows(`SELECT 1 FROM endpoint WHERE id = '${endpointId}'`).length === 0;
}

/** G2: Convoy was sent only events that are in the log, and as the log has them. */
function phantoms(history: Committed[], accepted: Accepted[]): string[] {
  const byId = new Map(history.map((event) => [event.id, event]));
  return accepted.flatMap(({ key, body }) => {
    const sent = JSON.parse(body) as { sequence?: number; event_id: string; todo?: Todo };
    // A read's event has no row in the log and no sequence.
    if (sent.sequence === undefined) return [];
    const event = byId.get(sent.event_id);
    if (!event || event.seq !== sent.sequence || key.split(":")[0] !== event.id) {
      return [`G2: Convoy was sent ${body}`];
    }
    return event.todo !== null && !same(todoOf(event), sent.todo ?? null)
      ? [`G2: ${body} is not the log's ${event.todo}`]
      : [];
  });
}

/** Every replay answered with 202 was taken once. */
function lostReplays(calls: Call[], event: Traced): string[] {
  return calls
    .filter(({ url, status }) => url === `/event/${event.id}/replay` && status === 202)
    .flatMap(({ answer }) => {
      const times = event.taken.filter(({ key }) => key === answer?.idempotency_key).length;
      return times === 1 ? [] : [`replay ${answer?.idempotency_key}: ${times} times`];
    });
}

/** G6: KV has the last change of every todo, and nothing else. */
export function kvDiffers<C extends ConvoyDouble>(
  world: World<C>,
  history = world.history(),
): string[] {
  const last = new Map(history.filter(isChange).map((event) => [event.todo_id!, event]));
  const stored = world.kv.now();
  const broken: string[] = [];
  for (const [id, { todo, seq }] of last) {
    const key = todoKey(OWNER, id);
    const entry = stored.get(key);
    const version = (entry?.metadata as { seq?: number } | undefined)?.seq;
    stored.delete(key);
    const right = todo === null ? !entry : entry?.value === todo && version === seq;
    if (!right) broken.push(`G6: KV has ${entry?.value} (${version}), the log ${todo} (${seq})`);
  }
  for (const key of stored.keys()) broken.push(`G6: KV has ${key}, of which the log knows nothing`);
  return broken;
}

/** No change to an endpoint stays unfinished. */
function unfinishedMoves<C extends ConvoyDouble>(world: World<C>): string[] {
  return world
    .rows<{ status: string }>(
      "SELECT status FROM endpoint WHERE status IN ('creating', 'pausing', 'activating')",
    )
    .map(({ status }) => `an endpoint stays ${status}`);
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

function todoOf({ todo }: Committed): Todo | null {
  return todo === null ? null : (JSON.parse(todo) as Todo);
}

function same(a: Todo | null, b: Todo | null): boolean {
  const sorted = (todo: Todo | null) => todo && JSON.stringify(Object.entries(todo).sort());
  return sorted(a) === sorted(b);
}

function name({ method, url, status }: Call): string {
  return `${method} ${url} (${status})`;
}
