/**
 * A random life of endpoints: callers, Convoy's dashboard, Workers that die, answers that are lost, strange or come late,
 * Convoy down, restored from a backup, or another project's. What each caller was told is kept, and compared at the end.
 */
import type { Faults } from "../../local/convoy/index.ts";
import { isPending } from "../../src/endpoint/compare.ts";
import type { EndpointRow } from "../../src/endpoint/table.ts";
import { type Actor, type Around, createActor } from "./actors.ts";
import { endpointWorker } from "./endpoint-worker.ts";
import { FRESH } from "./kv.ts";
import { type LocalConvoy, localConvoy } from "./local-convoy.ts";
import { randomOf } from "./random.ts";
import { goOnUntil, pass } from "./virtual-clock.ts";
import { type Call, openWorld, type World } from "./world.ts";

const MINUTE_MS = 60_000;
const OWNERS = ["alice", "bob"];

type There = {
  uid: string;
  owner_id: string;
  name: string;
  url: string;
  description: string;
  status: string;
  rate_limit: number;
  authentication?: { api_key?: { header_value: string } };
  secrets: { value: string }[];
};

/** What is known of an endpoint: which values each field may have in the end. */
type Known = {
  id: string;
  owner: string;
  /** Fields of the record, and what they may be. */
  may: Map<string, Set<unknown>>;
  removed: "no" | "maybe" | "yes";
  /** The dashboard, or a backup, has removed it or brought it back. */
  isOthers: boolean;
  secrets: string[];
};

/** What came of one life. */
export type Life = { steps: number; broken: string[] };

/** The world of such lives: open it once. */
export type LifeWorld = World<LocalConvoy> & { trouble: Trouble };

/** What is between a Worker and Convoy. `strange`: answers in its place, or null for its own. */
type Trouble = {
  isForeign: boolean;
  strange: ((run: () => Promise<Response>) => Promise<Response | null>) | null;
};

/** Opens one. */
export function openLifeWorld(): LifeWorld {
  const trouble: Trouble = { isForeign: false, strange: null };
  const convoy = localConvoy();
  const local = convoy.fetch;
  convoy.fetch = async (request) => {
    const isApi = new URL(request.url).pathname.startsWith("/api/");
    if (!isApi) return local(request);
    if (trouble.isForeign) return foreignAnswer(request);
    return (await trouble.strange?.(() => local(request))) ?? local(request);
  };
  const settings = { SUBREQUEST_BUDGET: "500" };
  return { ...openWorld({ worker: endpointWorker, convoy, settings, kv: FRESH }), trouble };
}

/** Another project's key: its lists are empty, and nothing is found. */
function foreignAnswer({ url, method }: Request): Response {
  const path = new URL(url).pathname.replace(/^.*\/projects\/[^/]+/, "");
  const empty = { content: [], pagination: { has_next_page: false } };
  if (method === "GET" && !/^\/endpoints\/./.test(path)) {
    const data = path === "" ? { uid: "other" } : empty;
    return Response.json({ status: true, message: "", data });
  }
  const [status, message] =
    method === "DELETE" ? [400, "endpoint not found"] : [404, "Resource not found"];
  return Response.json({ status: false, message }, { status });
}

const page = (more: object) => ({ status: true, message: "", data: { content: [], ...more } });

/** What says nothing, with a status; what was asked for may have been done. */
const STRANGE: [body: unknown, status: number][] = [
  ...[null, [], "x", 1, { uid: 1 }, { content: null }].map((data): [unknown, number] => [
    { status: true, message: "", data },
    200,
  ]),
  [page({}), 200],
  [page({ pagination: {} }), 200],
  [page({ pagination: { has_next_page: true, next_page_cursor: "" } }), 200],
  [page({ content: [null, "x", {}], pagination: { has_next_page: false } }), 200],
  ["<html>", 200],
  ["<html>", 504],
];
// Convoy does nothing that it answers so.
const REFUSED = [400, 401, 402, 403, 404, 409, 413, 422, 429, 500, 503];

/** One life, from a seed. */
export async function liveOnce(world: LifeWorld, seed: number): Promise<Life> {
  await world.reset();
  Object.assign(world.trouble, { isForeign: false, strange: null });
  world.d1.sqlite.exec("UPDATE cron_state SET scrub_after = '~'");
  const life = new OneLife(world, seed);
  await life.live();
  return { steps: life.steps, broken: await life.broken() };
}

/** State that all parts of a life share. */
class OneLife {
  steps = 0;
  private readonly random: () => number;
  private readonly known: Known[] = [];
  private readonly dashboard = new Set<string>();
  private troubled = 0;
  private n = 0;
  private together: Call[] = [];
  /** Notes of what came of the calls, once all that happened together is over. */
  private untold: (() => void)[] = [];
  /** How many calls at once concern an endpoint's field. */
  private touched = new Map<string, number>();
  /** When calls that come late are carried out. */
  private landings: number[] = [];
  private readonly noted: string[] = [];
  private readonly world: LifeWorld;
  private readonly trace: string[] = [];

  constructor(world: LifeWorld, seed: number) {
    this.world = world;
    this.random = randomOf(seed);
  }

  private chance = (percent: number) => this.random() * 100 < percent;
  private pick = <T>(all: readonly T[]): T => all[Math.floor(this.random() * all.length)] as T;
  private fresh = (what: string) => `${what}${++this.n}`;

  /** Steps take time, some very long; some fail before or after they are done, some come late, and Workers die. */
  private around(isFrail: boolean): Around {
    let dead = false;
    const never = <T>() => new Promise<T>(() => {});
    const sleep = (ms: number) => new Promise<void>((go) => setTimeout(go, ms));
    return async <T>(step: { store: string; what: string }, run: () => Promise<T>): Promise<T> => {
      this.steps++;
      if (dead) return never();
      await sleep(this.random() * (step.store === "Convoy" ? 300 : 20));
      if (!isFrail) return run();
      // Longer than a lease: somebody else may be at work by then.
      if (step.store === "D1" && this.chance(1)) await sleep(this.random() * 120_000);
      const error = new Error(step.store === "D1" ? "Network connection lost." : "fetch failed");
      const fate = this.random() * 100;
      if (fate < 2 || (fate >= 4 && fate < 6)) {
        if (fate < 2) dead = true;
        else await run();
        if (dead || this.chance(40)) {
          dead = true;
          return never();
        }
        throw error;
      }
      if (fate < 4) throw error;
      if (fate < 5.99) return run();
      if (fate < 12 && step.store === "Convoy" && !step.what.startsWith("GET")) {
        // Answered by a time-out; carried out within the minute.
        void sleep(this.random() * 50_000)
          .then(run)
          .catch(() => {});
        throw error;
      }
      return run();
    };
  }

  /** Time passes, and what lands meanwhile lands in time. */
  private async pass(ms: number): Promise<void> {
    const until = Date.now() + ms;
    for (const at of this.landings.toSorted((a, b) => a - b)) {
      if (at > Date.now() && at < until) await pass(at - Date.now());
    }
    await pass(until - Date.now());
  }

  async live(): Promise<void> {
    const count = 12 + Math.floor(this.random() * 18);
    for (let i = 0; i < count; i++) {
      const together = this.chance(25) ? 3 : 1;
      const actors: Actor[] = [];
      this.together = [];
      this.touched = new Map();
      for (let k = 0; k < together; k++) actors.push(...(await this.act()));
      await goOnUntil(() => actors.every((actor) => actor.idle()));
      for (const tell of this.untold.splice(0)) tell();
      if (this.chance(50))
        await this.pass(this.random() * this.pick([1_000, 30_000, 3 * MINUTE_MS]));
      if (this.chance(40)) await this.cron(true);
      await this.noteMissing();
    }
    Object.assign(this.world.trouble, { isForeign: false, strange: null });
    await this.world.convoy.setFaults({});
    // What was called late lands, and a healthy hour goes by.
    await this.pass(MINUTE_MS);
    await this.hour();
  }

  private async hour(): Promise<void> {
    const end = Date.now() + 62 * MINUTE_MS;
    const next = this.world.d1.sqlite.prepare(
      `SELECT min(due_at) AS at FROM (SELECT due_at FROM endpoint WHERE due_at IS NOT NULL
       UNION ALL SELECT drift_due_at FROM cron_state)`,
    );
    while (Date.now() < end) {
      const { at } = next.get() as { at: number };
      await pass(Math.min(end, Math.max(at, Date.now() + MINUTE_MS)) - Date.now());
      await this.cron(false);
    }
  }

  private async cron(isFrail: boolean): Promise<void> {
    const actor = createActor(this.world.stores, this.around(isFrail));
    void actor.scheduled(Date.now()).catch(() => {});
    await goOnUntil(actor.idle);
  }

  /** What is missing must have been removed by somebody, at any time. */
  private async noteMissing(): Promise<void> {
    for (const one of this.known.filter(({ isOthers }) => !isOthers)) {
      const [row] = this.world.rows<EndpointRow>(`SELECT * FROM endpoint WHERE id = '${one.id}'`);
      if (row?.there === "missing" && row.wanted !== "removed")
        this.noted.push(`${one.id} was missing`);
    }
  }

  /** One thing happens. @returns invocations that are under way */
  private async act(): Promise<Actor[]> {
    if (this.chance(12)) return this.trouble();
    const live = this.known.filter(({ removed }) => removed !== "yes");
    if (live.length < 2 || this.chance(10)) return [this.create()];
    const one = this.chance(60) ? (live[0] as Known) : this.pick(live);
    if (this.chance(30)) {
      await this.inDashboard(one);
      return [];
    }
    return [this.byCaller(one)];
  }

  private async trouble(): Promise<Actor[]> {
    const { world } = this;
    if (this.troubled++ % 2 === 1) {
      Object.assign(world.trouble, { isForeign: false, strange: null });
      await world.convoy.setFaults({});
      return [];
    }
    const faults: Faults[] = [
      { status: 503 },
      { postgres_down: true },
      { drop: true },
      { status: 429 },
    ];
    if (this.chance(20)) world.trouble.isForeign = true;
    else if (this.chance(40)) world.trouble.strange = (run) => this.strangely(run);
    else await world.convoy.setFaults(this.pick(faults));
    return [];
  }

  private async strangely(run: () => Promise<Response>): Promise<Response | null> {
    if (this.chance(60)) return null;
    if (this.chance(40)) {
      const message = this.pick(["x", "Resource not found", "failed to find endpoint"]);
      return Response.json({ status: false, message }, { status: this.pick(REFUSED) });
    }
    const [body, status] = this.pick(STRANGE);
    if (this.chance(50)) await run();
    return body === "<html>" ? new Response(body, { status }) : Response.json(body, { status });
  }

  private call(
    method: string,
    url: string,
    owner: string,
    body: Record<string, unknown> | undefined,
    told: (call: Call) => void,
  ): Actor {
    const actor = createActor(this.world.stores, this.around(true));
    const sent = body ? { owner, body } : { owner };
    const call = this.world.call(actor, method, url, sent);
    const at = this.trace.push(`${method} ${url} ${JSON.stringify(body)}`) - 1;
    this.together.push(call);
    // Whatever is not answered may have been done.
    told(call);
    this.untold.push(() => {
      if (call.status === null) return;
      this.trace[at] += ` -> ${call.status} ${JSON.stringify(call.answer).slice(0, 300)}`;
      told(call);
    });
    return actor;
  }

  private create(): Actor {
    const owner = this.pick(OWNERS);
    const body = {
      name: this.fresh("name"),
      url: `https://${this.fresh("r")}.example/`,
      secret: this.fresh("s"),
    };
    return this.call("POST", "/endpoint", owner, body, ({ status, answer }) => {
      if (status !== 201) return;
      const id = String(answer?.["Endpoint ID"]);
      const may = new Map<string, Set<unknown>>();
      for (const [field, value] of Object.entries({
        ...body,
        description: "",
        rate: 0,
        header: null,
        wanted: "active",
        status: "active",
      })) {
        if (field !== "secret") may.set(field, new Set([value]));
      }
      this.known.push({ id, owner, may, removed: "no", isOthers: false, secrets: [body.secret] });
    });
  }

  /** A caller's change: unknown at first, then as it was answered. */
  private wish(one: Known, fields: Record<string, unknown>) {
    const { touched } = this;
    // Of what happens at once any may be the last.
    const among = Object.keys(fields).map((field) => `${one.id} ${field}`);
    for (const field of among) touched.set(field, (touched.get(field) ?? 0) + 1);
    return ({ status }: Call) => {
      const isAcknowledged = status === 200 || status === 202;
      for (const [field, value] of Object.entries(fields)) {
        const may = one.may.get(field) ?? new Set();
        const isLast = isAcknowledged && touched.get(`${one.id} ${field}`) === 1;
        one.may.set(field, isLast ? new Set([value]) : may.add(value));
      }
    };
  }

  /** Whether what the dashboard changes now must stay: nothing is wanted here, and nobody is at work. */
  private isQuiet({ id }: Known): boolean {
    const [row] = this.world.rows<EndpointRow>(`SELECT * FROM endpoint WHERE id = '${id}'`);
    const isIdle = row?.due_at === null && !isPending(row) && (row.lease_until ?? 0) <= Date.now();
    return isIdle && this.together.length === 0 && this.landings.every((at) => at < Date.now());
  }

  private byCaller(one: Known): Actor {
    const { id, owner } = one;
    const path = `/endpoint/${id}`;
    const what = this.random() * 100;
    if (what < 35) {
      const field = this.pick(["name", "url", "description"]);
      const value = field === "url" ? `https://${this.fresh("r")}.example/` : this.fresh(field);
      return this.call("PUT", path, owner, { [field]: value }, this.wish(one, { [field]: value }));
    }
    if (what < 45) {
      const requests = this.chance(30) ? 0 : 1 + Math.floor(this.random() * 9);
      const rate_limit = requests ? { requests, per_s: 60 } : null;
      return this.call("PUT", path, owner, { rate_limit }, this.wish(one, { rate: requests }));
    }
    if (what < 53) {
      const value = this.fresh("value");
      return this.call(
        "PUT",
        path,
        owner,
        { headers: { "X-Key": value } },
        this.wish(one, { header: value }),
      );
    }
    const [row] = this.world.rows<EndpointRow>(`SELECT * FROM endpoint WHERE id = '${id}'`);
    if (what < 65) {
      // It gives up an activation that is not made yet.
      if (row?.lift)
        for (const status of ["paused", "inactive"]) one.may.get("status")?.add(status);
      this.touched.set(`${id} status`, 2);
      return this.call(
        "POST",
        `${path}/pause`,
        owner,
        undefined,
        this.wish(one, { wanted: "paused" }),
      );
    }
    if (what < 80) {
      // What the record takes for active is not asked about.
      const isLifted = row !== undefined && row.there !== "active";
      const wanted = { wanted: "active", ...(isLifted ? { status: "active" } : {}) };
      return this.call("POST", `${path}/activate`, owner, undefined, this.wish(one, wanted));
    }
    if (what < 88) {
      const secret = this.fresh("s");
      return this.call("POST", `${path}/rotate-secret`, owner, { secret }, ({ status }) => {
        if (status === 200) one.secrets.push(secret);
      });
    }
    if (what < 94)
      return this.call("POST", "/endpoint/sync", this.pick(OWNERS), undefined, () => {});
    return this.call("DELETE", path, owner, undefined, ({ status }) => {
      one.removed = status === 200 ? "yes" : one.removed === "no" ? "maybe" : one.removed;
    });
  }

  /** Something in Convoy's dashboard; what it sets may win or lose. */
  private async inDashboard(one: Known): Promise<void> {
    const { convoy } = this.world;
    for (const field of ["name", "url", "description", "rate", "status"]) {
      this.touched.set(`${one.id} ${field}`, 2);
    }
    const api = <T>(method: string, path: string, body?: object) =>
      this.whenUp<T>(() => convoy.api<T>(method, path, body));
    const path = `/endpoints/${one.id}`;
    const there = await api<There>("GET", path);
    this.trace.push(`dashboard: ${there ? "" : "has no "}${one.id}`);
    if (!there) {
      if (this.chance(50)) return;
      one.isOthers = true;
      await this.restore(one.id);
      return;
    }
    const what = this.random() * 100;
    const isQuiet = this.isQuiet(one);
    if (what < 40) {
      const field = this.pick(["name", "url", "description"] as const);
      const value = field === "url" ? `https://${this.fresh("r")}.example/` : this.fresh(field);
      const owner_id = this.chance(20) ? "mallory" : there.owner_id;
      if (isQuiet) one.may.set(field, new Set([value]));
      else one.may.get(field)?.add(value);
      await api("PUT", path, { ...there, secrets: undefined, [field]: value, owner_id });
      // A PUT sends back what it read a moment ago.
      for (const other of ["name", "url", "description"] as const)
        one.may.get(other)?.add(there[other]);
      one.may.get("rate")?.add(there.rate_limit);
      this.trace.push(`dashboard: ${field}=${value} ${owner_id}`);
    } else if (what < 65) {
      const status = this.pick(["active", "paused", "inactive"]);
      await convoy.setStatus(one.id, status);
      if (isQuiet) one.may.set("status", new Set([status]));
      else one.may.get("status")?.add(status);
      this.trace.push(`dashboard: ${status}`);
    } else if (what < 75) {
      one.isOthers = true;
      await api("DELETE", path);
      this.trace.push("dashboard: deleted");
    } else if (what < 88) {
      const listed = await api<{ content: { uid: string }[] | null }>(
        "GET",
        `/subscriptions?endpointId=${one.id}`,
      );
      for (const { uid } of listed?.content ?? []) await api("DELETE", `/subscriptions/${uid}`);
    } else {
      const fields = {
        name: this.fresh("theirs"),
        url: "https://theirs.example/",
        owner_id: this.pick(OWNERS),
      };
      const made = await api<There>("POST", "/endpoints", fields);
      if (made) this.dashboard.add(made.uid);
    }
  }

  private async restore(id: string): Promise<void> {
    const url = `http://convoy.test/inbox/endpoints/${id}/restore`;
    await this.world.convoy.fetch(new Request(url, { method: "POST" }));
    this.trace.push(`restored ${id}`);
  }

  /** The dashboard works while our network to Convoy does not. */
  private async whenUp<T>(work: () => Promise<T>): Promise<T | null> {
    const { convoy, trouble } = this.world;
    const { isForeign } = trouble;
    const faults = await this.faults();
    trouble.isForeign = false;
    await convoy.setFaults({});
    try {
      return await work();
    } catch {
      return null;
    } finally {
      trouble.isForeign = isForeign;
      await convoy.setFaults(faults);
    }
  }

  private async faults(): Promise<Faults> {
    const response = await this.world.convoy.fetch(new Request("http://convoy.test/inbox/faults"));
    return (await response.json()) as Faults;
  }

  /** What is not as it should be after a healthy hour. */
  async broken(): Promise<string[]> {
    const list = async <T>(what: string) =>
      (await this.world.convoy.api<{ content: T[] | null }>("GET", `/${what}?perPage=1000`))
        .content ?? [];
    const there = new Map((await list<There>("endpoints")).map((one) => [one.uid, one]));
    const subscriptions = await list<{ endpoint_metadata?: { uid: string } }>("subscriptions");
    const rows = this.world.rows<EndpointRow>("SELECT * FROM endpoint");
    const found = [...this.noted];
    for (const row of rows) {
      const of = subscriptions.filter((each) => each.endpoint_metadata?.uid === row.id).length;
      found.push(...differences(row, there.get(row.id), of).map((each) => `${row.name}: ${each}`));
    }
    for (const { uid, name } of there.values()) {
      const isKnown = rows.some(({ id }) => id === uid) || this.dashboard.has(uid);
      if (!isKnown) found.push(`Convoy has ${name}, which nobody knows`);
    }
    for (const one of this.known) {
      const row = rows.find(({ id }) => id === one.id);
      found.push(...unkept(one, row, there.get(one.id)).map((each) => `${one.id}: ${each}`));
    }
    return found.length > 0 ? [...found, ...this.trace] : [];
  }
}

/** Where a record and Convoy differ, and the record does not say why. */
function differences(row: EndpointRow, item: There | undefined, subscriptions: number): string[] {
  if (row.wanted === "creating") return ["is still being created"];
  if (row.lease_until !== null && row.due_at !== null) return ["is still being worked on"];
  if (row.wanted === "removed") {
    return [
      ...(item ? ["was removed, and Convoy has it"] : []),
      ...(row.due_at ? ["is still due"] : []),
    ];
  }
  if (row.there === "missing") return item ? ["is missing, and Convoy has it"] : [];
  if (!item) return ["Convoy lacks it, and it is not missing"];
  const fields = (["name", "url", "description"] as const).filter(
    (field) => row[field] !== item[field],
  );
  return [
    ...fields.map((field) => `${field}: ${row[field]}, at Convoy ${item[field]}`),
    ...((row.rate_requests ?? 0) === item.rate_limit
      ? []
      : [`rate: ${row.rate_requests}, at Convoy ${item.rate_limit}`]),
    ...(row.owner === item.owner_id ? [] : [`its owner at Convoy is ${item.owner_id}`]),
    ...(row.there === item.status ? [] : [`${row.there}, at Convoy ${item.status}`]),
    ...(row.lift ? ["is still to be activated"] : []),
    ...(row.due_at === null ? [] : ["is still due"]),
    ...(row.error === null ? [] : [`says ${row.error}`]),
    ...(subscriptions === 1 ? [] : [`has ${subscriptions} subscriptions`]),
  ];
}

/** What callers were told and is not so. */
function unkept(one: Known, row: EndpointRow | undefined, item: There | undefined): string[] {
  if (!row) return ["was created, and is gone"];
  if (one.removed === "yes") return row.wanted === "removed" ? [] : ["was removed, and is back"];
  if (row.wanted === "removed") return one.removed === "no" ? ["was never removed"] : [];
  if (row.there === "missing") return one.isOthers ? [] : ["is missing, though nobody removed it"];
  const now: Record<string, unknown> = {
    ...{ name: row.name, url: row.url, description: row.description, wanted: row.wanted },
    ...{
      status: item?.status,
      rate: row.rate_requests ?? 0,
      header: item?.authentication?.api_key?.header_value ?? null,
    },
  };
  const wrong = [...one.may].filter(([field, values]) => !values.has(now[field]));
  const lost = one.secrets.filter((secret) => !item?.secrets.some(({ value }) => value === secret));
  return [
    ...wrong.map(
      ([field, values]) => `${field} is ${now[field]}, may be ${[...values].join(" or ")}`,
    ),
    ...lost.map((secret) => `its secret ${secret} does not sign`),
  ];
}
