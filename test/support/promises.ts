/** Checks the promises of docs/design.md, section 1: what callers know against what is there. */
import { valueKey } from "../../src/outbox/store.ts";
import type { ConvoyDouble, Taken } from "./convoy-double.ts";
import type { Noun, Value } from "./noun.ts";
import type { Call, Committed, Delivered, World } from "./world.ts";

/** A call that asks for a change: of which noun, by which type, and of which id if it names one. */
type Asked = { call: Call; noun: Noun; type: string; id: string | null };

/** What may remain for a reason. `failing`: receivers that never took it. `refused`: what Convoy never takes. */
export type Excuses = {
  failing?: (endpointId: string) => boolean;
  refused?: (delivery: Delivered) => boolean;
  /** How long after a pause or a removal a worker that was slow may still post; default: a lease and some. */
  lateMs?: number;
};

const LATE_MS = 125_000;

/** Every broken promise, one sentence each; empty if all hold. Time must have passed (`recover`). */
export async function brokenPromises<C extends ConvoyDouble>(
  world: World<C>,
  excuses: Excuses = {},
): Promise<string[]> {
  const history = world.history();
  const deliveries = world.deliveries();
  const taken = await world.convoy.taken();
  const changes = world.calls.flatMap((call) => changeOf(world.nouns, call) ?? []);
  const traced = traces(world, deliveries, taken);
  const active = activeOnes(world);
  return [
    ...changesWithoutEvent(changes, history),
    ...eventsWithoutChange(changes, history),
    ...illegalHistory(changes, history),
    ...unwanted(changes, history, deliveries),
    ...traced.flatMap((one) => [...wrongStatus(one, active, excuses), ...notOnce(one)]),
    ...phantoms(history, taken),
    ...postedWhileAway(world, excuses.lateMs ?? LATE_MS),
    ...foreignPosts(world, history),
    ...unprojected(history),
    ...kvDiffers(world, history),
  ];
}

/** A delivery, what Convoy took of it by version, and how often callers may have had it sent again. */
type Traced = { delivery: Delivered; taken: Map<number, Taken>; asked: number };

function traces<C extends ConvoyDouble>(
  world: World<C>,
  deliveries: Delivered[],
  taken: Taken[],
): Traced[] {
  const byDelivery = Map.groupBy(taken, ({ key }) => key.split(".").slice(0, 2).join("."));
  const repeats = world.calls.filter(({ url }) => /\/(resend|replay)$/.test(url));
  return deliveries.map((delivery) => {
    const id = `${delivery.id}.${delivery.endpoint_id}`;
    const versions = (byDelivery.get(id) ?? []).map(
      (one) => [Number(one.key.split(".")[2] ?? 0), one] as const,
    );
    const asked = repeats.filter((call) => mayRepeat(call, delivery, id)).length;
    return { delivery, taken: new Map(versions), asked };
  });
}

function mayRepeat(call: Call, delivery: Delivered, id: string): boolean {
  if (call.owner !== delivery.owner || (!isDone(call) && !isOpen(call))) return false;
  return ["/delivery/resend", `/delivery/${id}/resend`, `/event/${delivery.id}/replay`].includes(
    call.url,
  );
}

/** G1: an acknowledged change has exactly one event, of its type. */
function changesWithoutEvent(changes: Asked[], history: Committed[]): string[] {
  const byId = Map.groupBy(history, ({ id }) => id);
  return changes.filter(isMade).flatMap(({ call, type }) => {
    const found = byId.get(call.eventId ?? "") ?? [];
    const fits = found.length === 1 && found[0]?.type === type;
    return fits ? [] : [`G1: ${name(call)} has ${found.length} events`];
  });
}

/** G1: a change's event belongs to a call that was acknowledged, or that got no clear answer. */
function eventsWithoutChange(changes: Asked[], history: Committed[]): string[] {
  const known = new Set(changes.filter(isMade).map(({ call }) => call.eventId));
  const open = changes.filter(({ call }) => isOpen(call));
  const broken: string[] = [];
  for (const event of history.filter(isChange)) {
    if (known.has(event.id)) continue;
    const at = open.findIndex((asked) => mayBe(asked, event));
    if (at < 0) broken.push(`G1: event ${event.seq} ${event.type} is of no call`);
    else open.splice(at, 1);
  }
  return broken;
}

/** G1: each change is legal after the one before it, and holds all fields of all changes so far. */
function illegalHistory(changes: Asked[], history: Committed[]): string[] {
  const broken: string[] = [];
  const done = Map.groupBy(changes.filter(isMade), ({ call }) => call.eventId);
  const now = new Map<string, Value | null>();
  for (const event of history.filter(isChange)) {
    const place = placeOf(event);
    const before = now.get(place) ?? null;
    const say = (what: string) => broken.push(`G1: event ${event.seq} ${event.type} ${what}`);
    if ((event.change === "create") === (before !== null)) say(`after ${JSON.stringify(before)}`);
    const after = dataOf(event);
    const tried = done.get(event.id) ?? changes.filter((asked) => mayBe(asked, event));
    if (before && tried[0]?.noun.refuses?.(event.type, before)) say("against the noun's rules");
    if (!tried.some((asked) => same(merged(asked, event, before), after))) {
      say(`lost an update: it made ${event.data}`);
    }
    now.set(place, after);
  }
  return broken;
}

/** G1: an event has a delivery for each endpoint that wanted it when it was committed, or for the one that was named. */
function unwanted(changes: Asked[], history: Committed[], deliveries: Delivered[]): string[] {
  const byEvent = Map.groupBy(deliveries, ({ event_seq }) => event_seq);
  const calls = new Map(changes.filter(isMade).map(({ call }) => [call.eventId, call]));
  return history.flatMap((event) => {
    const got = (byEvent.get(event.seq) ?? []).map(({ endpoint_id }) => endpoint_id).sort();
    const call = calls.get(event.id);
    const named = call && new URL(call.url, "http://x").searchParams.get("endpoint");
    const wanted = named ? [named] : event.wanted.toSorted();
    const isRight = String(got) === String(wanted) || (!call && got.length === 1);
    return isRight ? [] : [`G1: event ${event.seq} has deliveries for [${got}], not [${wanted}]`];
  });
}

/** Whether endpoints are active, by id; those that their owners no longer have are missing. */
function activeOnes<C extends ConvoyDouble>(world: World<C>): Map<string, boolean> {
  const rows = world.rows<{ id: string; active: number }>("SELECT id, active FROM outbox_endpoint");
  return new Map(rows.map(({ id, active }) => [id, active === 1]));
}

/** G3, G5: nothing waits without a reason; what is said to have arrived has, and what is said to have failed has not. */
function wrongStatus(
  { delivery, taken }: Traced,
  active: Map<string, boolean>,
  { failing = () => false, refused = () => false }: Excuses,
): string[] {
  const { status, endpoint_id: endpoint, since_version: since, key_version: version } = delivery;
  const isRemoved = !active.has(endpoint);
  const counted = [...taken].filter(([at]) => at >= since && at <= version).map(([, one]) => one);
  const arrived = counted.some(({ arrivals }) => arrivals > 0);
  const succeeded = counted.some((one) => one.status === "Success");
  const why: Record<string, boolean> = {
    delivered: arrived,
    failed:
      !succeeded && taken.get(version)?.status === "Failure" && (failing(endpoint) || isRemoved),
    dead: isRemoved || (!succeeded && refused(delivery)),
    held: active.get(endpoint) === false && !succeeded,
    pending: refused(delivery) && !isRemoved,
    sending: false,
  };
  if (why[status]) return [];
  const said = [...taken.values()].map((one) => `${one.key.slice(36)} ${one.status}`);
  return [`G3: ${nameOf(delivery)} is ${status}, with keys [${said}]: ${JSON.stringify(delivery)}`];
}

/** G3: it came once, and once more only if a caller asked, or Convoy itself never finished what had come. */
function notOnce({ delivery, taken, asked }: Traced): string[] {
  const all = [...taken.values()];
  const arrivals = all.reduce((sum, one) => sum + one.arrivals, 0);
  const final = all.filter(({ status }) => status === "Success" || status === "Failure").length;
  const excused = 1 + asked + all.filter(({ status }) => status === "Processing").length;
  const most = Math.max(arrivals, final);
  return most <= excused
    ? []
    : [`G3: ${nameOf(delivery)} came ${arrivals} times, ${final} finished; excused: ${excused}`];
}

/** G1: Convoy was sent only events that are in the log, and as the log has them. */
function phantoms(history: Committed[], taken: Taken[]): string[] {
  const byId = new Map(history.map((event) => [event.id, event]));
  return taken.flatMap(({ key, body }) => {
    const sent = JSON.parse(body) as { sequence?: number; event_id: string } & Value;
    // A read's event has no row in the log and no sequence.
    if (sent.sequence === undefined) return [];
    const event = byId.get(sent.event_id);
    if (!event || event.seq !== sent.sequence || key.split(".")[0] !== event.id) {
      return [`G1: Convoy was sent ${body}`];
    }
    const told = event.resource === null ? null : ((sent[event.resource] ?? null) as Value | null);
    return event.data === null || same(dataOf(event), told)
      ? []
      : [`G1: ${body} is not the log's ${event.data}`];
  });
}

/** Nothing is posted to an endpoint while it is paused, or once it is removed, beyond what was under way. */
function postedWhileAway<C extends ConvoyDouble>({ calls, convoy }: World<C>, lateMs: number) {
  const moves = calls.flatMap((call) => {
    const [, id, what] = /^\/endpoint\/([^/]+)(?:\/(pause|activate))?$/.exec(call.url) ?? [];
    return id && call.method !== "GET" ? [{ id, what: what ?? "remove", call }] : [];
  });
  return moves.flatMap(({ id, what, call }) => {
    if (what === "activate" || call.answeredAt === null || !isDone(call)) return [];
    const from = call.answeredAt + lateMs;
    // An activation that began before the pause was answered may have landed after it.
    const back = moves.filter((move) => {
      const end = move.call.answeredAt ?? Number.POSITIVE_INFINITY;
      return move.id === id && move.what === "activate" && end >= call.at;
    });
    const until = what === "remove" ? Infinity : Math.min(...back.map((move) => move.call.at));
    const late = convoy.posts.find(
      ({ endpointId, at }) => endpointId === id && at > from && at < until,
    );
    return late ? [`posted ${late.key} after ${what} of ${id}`] : [];
  });
}

/** G4: an endpoint is sent nothing of another owner's. */
function foreignPosts<C extends ConvoyDouble>(world: World<C>, history: Committed[]): string[] {
  const owners = new Map(
    world
      .rows<{ id: string; owner: string }>("SELECT id, owner FROM endpoint")
      .map(({ id, owner }) => [id, owner]),
  );
  const byId = new Map(history.map((event) => [event.id, event.owner]));
  return world.convoy.posts.flatMap(({ key, endpointId }) => {
    const owner = byId.get(key.slice(0, 36));
    const theirs = owners.get(endpointId);
    const isForeign = owner !== undefined && theirs !== undefined && owner !== theirs;
    return isForeign ? [`G4: ${key} was sent to ${theirs}'s endpoint`] : [];
  });
}

function unprojected(history: Committed[]): string[] {
  return history
    .filter(({ projected }) => projected === 0)
    .map(({ seq, type }) => `G6: event ${seq} ${type} is not known to be in KV`);
}

/** KV has the last change of every resource, and nothing else. */
export function kvDiffers<C extends ConvoyDouble>(
  world: World<C>,
  history = world.history(),
): string[] {
  const last = new Map(history.filter(isChange).map((event) => [placeOf(event), event]));
  const stored = world.kv.now();
  const broken: string[] = [];
  for (const { owner, resource, resource_id, data, seq } of last.values()) {
    const noun = world.nouns.find((one) => one.resource.name === resource);
    if (!noun) throw new Error(`no noun ${resource}`);
    const key = valueKey(noun.resource, owner, resource_id ?? "");
    const entry = stored.get(key);
    const version = (entry?.metadata as { seq?: number } | undefined)?.seq;
    stored.delete(key);
    const right = data === null ? !entry : entry?.value === data && version === seq;
    if (!right) broken.push(`G6: KV has ${entry?.value} (${version}), the log ${data} (${seq})`);
  }
  for (const key of stored.keys()) broken.push(`G6: KV has ${key}, of which the log knows nothing`);
  return broken;
}

function isDone({ status }: Call): boolean {
  return status !== null && status < 300;
}

function isMade({ call }: Asked): boolean {
  return isDone(call);
}

/** No answer, or one that says that the outcome is unknown. */
function isOpen({ status, eventId, url }: Call): boolean {
  return status === null || (status >= 500 && (eventId !== null || /\/(resend|replay)$/.test(url)));
}

function isChange({ change }: Committed): boolean {
  return change !== null;
}

/** The change that a call asks for; null for other calls. */
function changeOf(nouns: Noun[], call: Call): Asked | null {
  const { method, url, body } = call;
  const [, name, id = null, action] = new URL(url, "http://x").pathname.split("/");
  const noun = nouns.find(({ resource }) => resource.name === name);
  if (!noun || method === "GET") return null;
  const { created, updated, deleted } = noun.resource.verbs;
  const given = body?.id === undefined ? null : String(body.id);
  if (action !== undefined) {
    const type = noun.actions?.[action]?.type;
    return type === undefined ? null : { call, noun, type, id };
  }
  if (method === "POST") return { call, noun, type: created.type, id: given };
  return { call, noun, type: (method === "PUT" ? updated : deleted).type, id };
}

function mayBe({ call, type, id }: Asked, event: Committed): boolean {
  if (!isOpen(call) || call.owner !== event.owner) return false;
  const sameId = id === null || id === event.resource_id;
  return type === event.type && sameId && (call.eventId ?? event.id) === event.id;
}

/** The value after a call's change. */
function merged({ call, noun, type }: Asked, event: Committed, before: Value | null): Value | null {
  const id = noun.resource.id.fromText(event.resource_id ?? "");
  const action = Object.values(noun.actions ?? {}).find((one) => one.type === type);
  if (action) return { ...before, ...action.patch };
  if (event.change === "delete") return null;
  const base = event.change === "create" ? { ...noun.defaults, id } : before;
  return { ...base, ...call.body };
}

function dataOf({ data }: Committed): Value | null {
  return data === null ? null : (JSON.parse(data) as Value);
}

function same(a: Value | null, b: Value | null): boolean {
  const sorted = (value: Value | null) => value && JSON.stringify(Object.entries(value).sort());
  return sorted(a) === sorted(b);
}

function placeOf({ owner, resource, resource_id }: Committed): string {
  return `${owner} ${resource} ${resource_id}`;
}

function name({ method, url, status }: Call): string {
  return `${method} ${url} (${status})`;
}

function nameOf({ event_seq, endpoint_id, type }: Delivered): string {
  return `${type} ${event_seq} for ${endpoint_id}`;
}
