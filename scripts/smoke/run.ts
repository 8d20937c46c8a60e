/**
 * What `npm run smoke` does: the tutorial, every event type, a test, a pause, sending again, an endpoint with all that
 * one can have; it leaves nothing behind.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { DevWorker } from "../../local/dev/worker.ts";
import type { Health } from "../../src/answers.ts";
import { isLoopback } from "../../src/loopback.ts";
import { withWorker } from "../own-worker.ts";
import { type Receiver, SMOKE_HEADER } from "./receiver.ts";

/** How often to check what is waited for, and how often to run the cron meanwhile: more than once a minute. */
const LOOK_MS = 250;
const CRON_MS = 1_500;
/** How long to watch a paused endpoint before activating it. */
const PAUSE_MS = 1_500;

/** Which Convoy to use, where it reaches the receiver, and how long it may take. */
export type SmokeOptions = {
  convoy: { CONVOY_BASE_URL: string; CONVOY_API_KEY: string; CONVOY_PROJECT_ID: string };
  receiver: Receiver;
  receiverUrl: string;
  /** Longest wait for one webhook. */
  patienceMs: number;
  /** When to start looking for a delivery in Convoy's list. */
  walkDelayS: number;
  say: (line: string) => void;
  /** Ends the run early; what it created is removed all the same. */
  signal?: AbortSignal;
};

/**
 * Runs all of it against its own Worker, as an owner of its own: other owners of the project, whose endpoints
 * are other people's, are sent nothing.
 * @throws Error at the first thing that is wrong; everything is removed even then
 */
export async function smoke(options: SmokeOptions): Promise<void> {
  const isHere = isLoopback(new URL(options.receiverUrl).hostname);
  const settings = {
    ...options.convoy,
    AUTH: "jwt",
    PRIVATE_ADDRESSES: isHere ? "allow" : "refuse",
    WALK_DELAY_S: String(options.walkDelayS),
  };
  await withWorker(settings, async (worker) => {
    const token = await worker.tokenOf(`smoke-${crypto.randomUUID()}`);
    const made = smokeOf(options, worker, token);
    try {
      await steps(made);
    } finally {
      await clearAway(made);
    }
  });
}

/** What every step works with. */
type Smoke = ReturnType<typeof smokeOf>;

function smokeOf(options: SmokeOptions, worker: DevWorker, token: string) {
  const { patienceMs, signal, receiver } = options;
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  // biome-ignore lint/suspicious/noExplicitAny: any answer of the API; what is read from it is checked
  const api = async <T = any>(method: string, at: string, body?: object) => {
    const sent = { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) };
    const response = await fetch(new URL(at, worker.url), sent);
    const eventId = response.headers.get("X-Event-Id");
    return { status: response.status, body: (await response.json()) as T, eventId };
  };
  return {
    ...options,
    api,
    /** Calls the API. @throws Error unless it answers with this status */
    async demand(status: number, ...[method, at, body]: Parameters<typeof api>) {
      const answer = await api(method, at, body);
      if (answer.status === status) return answer;
      throw new Error(
        `${method} ${at}: ${answer.status} ${JSON.stringify(answer.body)} where ${status} was expected`,
      );
    },
    /** Waits for a condition, with the cron running meanwhile. @throws Error if it takes too long */
    async until(what: string, met: () => boolean | Promise<boolean>) {
      const begun = Date.now();
      for (let ran = begun; !(await met()); await sleep(LOOK_MS)) {
        if (signal?.aborted) throw new Error("Interrupted.");
        if (Date.now() - begun > patienceMs) {
          const health = JSON.stringify((await api("GET", "/health?deep")).body);
          throw new Error(`${what} did not happen within ${patienceMs / 1_000} s. ${health}`);
        }
        if (Date.now() - ran < CRON_MS) continue;
        ran = Date.now();
        await worker.scheduled(new Date()).catch(() => {});
      }
    },
    /** Whether an event has arrived so many times. */
    arrived: (id: string, times = 1) =>
      receiver.arrivals.filter(({ eventId }) => eventId === id).length >= times,
  };
}

async function steps(smoke: Smoke): Promise<void> {
  const begun = new Date().toISOString();
  const { id, created } = await tutorial(smoke);
  await pause(smoke, id);
  await again(smoke, `${created}.${id}`, begun);
  await everything(smoke, id);
  const bad = smoke.receiver.arrivals.filter(({ signed }) => !signed);
  if (bad.length > 0) throw new Error(`${bad.length} signatures are wrong.`);
}

/** The tutorial, and every event type. @returns the endpoint, and the first event */
async function tutorial({ api, demand, until, arrived, receiver, receiverUrl, say }: Smoke) {
  const health = await api<Health>("GET", "/health?deep");
  if (health.body.convoy !== "ok") throw new Error(`Convoy: ${health.body.convoy}`);
  say("Convoy answers, and the key belongs to the project.");
  const made = await demand(201, "POST", "/endpoint", {
    name: "Todo endpoint",
    description: "Made by npm run smoke, and removed at its end.",
    http_timeout: "10s",
    url: receiverUrl,
  });
  const id = String(made.body["Endpoint ID"]);
  receiver.secrets.push(made.body.secret);
  say(`The tutorial: endpoint ${id} at ${receiverUrl}.`);

  const sent: [type: string, status: number, ...call: Parameters<Smoke["api"]>][] = [
    ["created", 201, "POST", `/todo?endpoint=${id}`, { id: 1, item: "Publish my first webhook" }],
    ["ping", 202, "POST", `/endpoint/${id}/ping`],
    ["updated", 200, "PUT", `/todo/1?endpoint=${id}`, { completed: true }],
    ["retrieved", 200, "GET", `/todo/1?endpoint=${id}`],
    ["failure", 404, "PUT", `/todo/404?endpoint=${id}`, { completed: true }],
    ["created, to all endpoints", 201, "POST", "/todo", { id: 2, item: "To all" }],
    ["deleted", 200, "DELETE", `/todo/1?endpoint=${id}`],
    ["updated, as a test", 202, "POST", `/endpoint/${id}/test`, { type: "updated" }],
  ];
  let created = "";
  for (const [type, status, ...call] of sent) {
    const before = receiver.arrivals.length;
    const { eventId } = await demand(status, ...call);
    created ||= eventId ?? "";
    const event = type.split(",")[0];
    const since = () => receiver.arrivals.slice(before).some((one) => one.event === event);
    await until(`The webhook "${type}"`, () => (eventId ? arrived(eventId) : since()));
    say(`  ${type} arrived.`);
  }
  if (!receiver.arrivals.at(-1)?.test) throw new Error("A test does not say that it is one.");
  return { id, created };
}

/** A pause: what is sent meanwhile is held here, and arrives once the endpoint is active. */
async function pause({ api, demand, until, arrived, say }: Smoke, endpoint: string): Promise<void> {
  await demand(200, "POST", `/endpoint/${endpoint}/pause`);
  const change = await demand(200, "PUT", `/todo/2?endpoint=${endpoint}`, { completed: true });
  const event = change.eventId ?? "";
  const status = async () => (await api("GET", `/delivery/${event}.${endpoint}`)).body.status;
  if ((await status()) !== "held") throw new Error(`It is ${await status()}, not held.`);
  await sleep(PAUSE_MS);
  if (arrived(event)) throw new Error("What was sent during the pause arrived.");
  await demand(200, "POST", `/endpoint/${endpoint}/activate`);
  await until("What was held during the pause", () => arrived(event));
  await until("Its end", async () => (await status()) === "delivered");
  say("A pause: what was sent meanwhile was held, and delivered after the activation.");
}

/** Sends a delivery again, and whatever was lost since a time: nothing. */
async function again(smoke: Smoke, delivery: string, since: string): Promise<void> {
  const { api, demand, until, arrived, receiver, say } = smoke;
  const [event = ""] = delivery.split(".");
  await until("The end of the first delivery", async () => {
    // The list asks Convoy; then the event knows, too.
    await api("GET", "/delivery");
    return (await api("GET", `/event/${event}`)).body.status === "delivered";
  });
  const shown = await demand(200, "GET", `/delivery/${delivery}`);
  const [attempt] = shown.body.attempts_made ?? [];
  if (attempt?.http_status !== 200) throw new Error("The attempt is not shown.");
  await demand(202, "POST", `/delivery/${delivery}/resend`);
  await until("What was sent again", () => arrived(event, 2));
  const keys = receiver.arrivals.filter(({ eventId }) => eventId === event).map(({ key }) => key);
  if (keys.at(-1) !== `${delivery}.1`) throw new Error(`Its key is ${keys.at(-1)}.`);
  say(`Sent again: the same event_id, with the key ${keys.at(-1)}.`);
  const lost = await demand(202, "POST", "/delivery/resend", { since });
  if (lost.body.resent !== 0) throw new Error(`${lost.body.resent} deliveries were lost.`);
  say("Nothing was lost since the beginning: there was nothing to send again.");
}

/** An endpoint with a header, a rate limit and event types of its own. */
async function everything(smoke: Smoke, other: string): Promise<void> {
  const { demand, until, arrived, receiver, receiverUrl, say } = smoke;
  const url = new URL(receiverUrl);
  url.searchParams.set("endpoint", "second");
  const header = crypto.randomUUID();
  const made = await demand(201, "POST", "/endpoint", {
    name: "With all that there is",
    url: url.href,
    event_types: ["deleted"],
    headers: { [SMOKE_HEADER]: header },
    rate_limit: { requests: 100, per_s: 60 },
  });
  const { id, header_names, rate_limit } = made.body.endpoint;
  receiver.secrets.push(made.body.secret);
  if (header_names[0] !== SMOKE_HEADER || rate_limit?.requests !== 100) {
    throw new Error(`The endpoint is not as it was wanted: ${JSON.stringify(made.body)}`);
  }
  const created = await demand(201, "POST", "/todo", { id: 3, item: "For the first alone" });
  await until("The webhook to the first endpoint", () => arrived(created.eventId ?? ""));
  const removed = await demand(200, "DELETE", "/todo/3");
  await until("The webhooks to both endpoints", () => arrived(removed.eventId ?? "", 2));
  const second = receiver.arrivals.filter(({ path }) => path.includes("endpoint=second"));
  const [one] = second;
  if (second.length !== 1 || one?.eventId !== removed.eventId || one?.header !== header) {
    throw new Error(`The second endpoint got ${JSON.stringify(second)}.`);
  }
  say(`Endpoint ${id} got the one type that it takes, with its header; ${other} got both.`);
}

/** Removes every endpoint and todo of the owner; Convoy keeps only its lists of what was sent. */
async function clearAway({ api, say }: Smoke): Promise<void> {
  const { body: endpoints } = await api("GET", "/endpoint");
  const left: string[] = [];
  for (const { id } of endpoints.data ?? []) {
    const { status, body } = await api("DELETE", `/endpoint/${id}`);
    if (status !== 200) left.push(`${id}: ${body.error}`);
  }
  const { body: todos } = await api("GET", "/todo");
  for (const { id } of todos.data ?? []) await api("DELETE", `/todo/${id}`);
  say(
    left.length === 0
      ? "Removed: the endpoints, their subscriptions and the todos. Convoy's lists of events stay."
      : `Could not be removed from Convoy; remove by hand: ${left.join("; ")}`,
  );
}
