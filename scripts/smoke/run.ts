/** What `npm run smoke` does: the tutorial, every event type, a pause, a replay; it leaves nothing behind. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { migrate, serveWorker } from "../../local/dev/worker.ts";
import type { Health } from "../../src/health.ts";
import { isLoopback, mintToken } from "../../src/token.ts";
import type { Receiver } from "./receiver.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
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
  /** When to start looking for an event in Convoy's list. */
  auditDelayS: number;
  say: (line: string) => void;
  /** Ends the run early; what it created is removed all the same. */
  signal?: AbortSignal;
};

/** Something that did not happen: says what, and what to look at. */
export class SmokeError extends Error {
  override readonly name = "SmokeError";
}

/**
 * Runs all of it against its own Worker, as an owner of its own: other owners of the project, whose endpoints
 * are other people's, are sent nothing.
 * @returns whether the pause took effect at once (Convoy from v26.7.3 on)
 * @throws SmokeError at the first thing that is wrong; everything is removed even then
 */
export async function smoke(options: SmokeOptions): Promise<{ pausedAtOnce: boolean }> {
  const state = await mkdtemp(path.join(tmpdir(), "todo-smoke-"));
  const AUTH_SECRET = crypto.randomUUID() + crypto.randomUUID();
  const isHere = isLoopback(new URL(options.receiverUrl).hostname);
  const settings = {
    ...options.convoy,
    AUTH: "jwt",
    AUTH_SECRET,
    PRIVATE_ADDRESSES: isHere ? "allow" : "refuse",
    WALK_DELAY_S: String(options.auditDelayS),
  };
  await migrate(ROOT, state);
  const worker = await serveWorker({ root: ROOT, port: 0, settings, state, interactive: false });
  const owner = `smoke-${crypto.randomUUID()}`;
  const token = await mintToken({ AUTH_SECRET }, owner, { expiresInS: 3_600 });
  const api = callerOf(worker.url, token);
  const cron = () => worker.scheduled(new Date()).catch(() => {});
  try {
    return await steps(api, cron, options);
  } finally {
    await clearAway(api, options.say).finally(() => worker.close());
    await rm(state, { recursive: true, force: true });
  }
}

type Reply<T> = { status: number; body: T; eventId: string | null };
// biome-ignore lint/suspicious/noExplicitAny: any answer of the API; what is read from it is checked
type Api = <T = any>(method: string, path: string, body?: object) => Promise<Reply<T>>;

function callerOf(url: URL, token: string): Api {
  return async (method, at, body) => {
    const response = await fetch(new URL(at, url), {
      method,
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const eventId = response.headers.get("X-Event-Id");
    return { status: response.status, body: (await response.json()) as never, eventId };
  };
}

async function steps(api: Api, cron: () => Promise<void>, options: SmokeOptions) {
  const { receiver, receiverUrl, patienceMs, say } = options;
  const { arrivals } = receiver;

  /** Waits for a condition, with the cron running meanwhile. */
  async function until(what: string, met: () => boolean | Promise<boolean>): Promise<void> {
    const begun = Date.now();
    for (let ran = begun; !(await met()); await sleep(LOOK_MS)) {
      if (options.signal?.aborted) throw new SmokeError("Interrupted.");
      if (Date.now() - begun > patienceMs) {
        const { body } = await api<Health>("GET", "/health?deep");
        throw new SmokeError(
          `${what} did not happen within ${patienceMs / 1_000} s. ${JSON.stringify(body)}`,
        );
      }
      if (Date.now() - ran < CRON_MS) continue;
      ran = Date.now();
      await cron();
    }
  }
  const arrived = (id: string, times = 1) =>
    arrivals.filter(({ eventId }) => eventId === id).length >= times;
  async function demand<T>(reply: Promise<Reply<T>>, status: number): Promise<Reply<T>> {
    const answer = await reply;
    if (answer.status === status) return answer;
    throw new SmokeError(
      `${answer.status} ${JSON.stringify(answer.body)} where ${status} was expected`,
    );
  }

  const health = await api<Health>("GET", "/health?deep");
  if (health.body.convoy !== "ok") throw new SmokeError(`Convoy: ${health.body.convoy}`);
  say("Convoy answers, and the key belongs to the project.");

  const made = await demand(
    api("POST", "/endpoint", {
      name: "Todo endpoint",
      description: "Made by npm run smoke, and removed at its end.",
      http_timeout: "10s",
      url: receiverUrl,
    }),
    201,
  );
  const id = String(made.body["Endpoint ID"]);
  receiver.secrets.push(made.body.secret);
  say(`The tutorial: endpoint ${id} at ${receiverUrl}.`);

  const sent: [type: string, method: string, path: string, status: number, body?: object][] = [
    ["created", "POST", `/todo?endpoint=${id}`, 201, { id: 1, item: "Publish my first webhook" }],
    ["ping", "POST", `/endpoint/${id}/ping`, 202],
    ["updated", "PUT", `/todo/1?endpoint=${id}`, 200, { completed: true }],
    ["retrieved", "GET", `/todo/1?endpoint=${id}`, 200],
    ["failure", "PUT", `/todo/404?endpoint=${id}`, 404, { completed: true }],
    ["created, to all endpoints", "POST", "/todo", 201, { id: 2, item: "Fan out" }],
    ["deleted", "DELETE", `/todo/1?endpoint=${id}`, 200],
  ];
  let created = "";
  for (const [type, method, at, status, body] of sent) {
    const before = arrivals.length;
    const { eventId } = await demand(api(method, at, body), status);
    created ||= eventId ?? "";
    const event = type.split(",")[0];
    const since = () => arrivals.slice(before).some((one) => one.event === event);
    await until(`The webhook "${type}"`, () => (eventId ? arrived(eventId) : since()));
    say(`  ${type} arrived.`);
  }

  const { pausedAtOnce, event } = await pauseAndActivate(id);
  say(
    pausedAtOnce
      ? "A pause: nothing arrived meanwhile, and everything after the activation."
      : "A pause: what was sent meanwhile arrived at once. This Convoy takes up to two minutes (before v26.7.3).",
  );

  const confirmed = async () => (await api("GET", `/event/${created}`)).body.state === "confirmed";
  await until("The audit of the first event", confirmed);
  await demand(api("POST", `/event/${created}/replay`), 202);
  await until("The replay", () => arrived(created, 2));
  const keys = arrivals.filter(({ eventId }) => eventId === created).map(({ key }) => key);
  say(`A replay: the same event_id again, with the key ${keys.at(-1)}.`);

  const bad = arrivals.filter(({ signed }) => !signed);
  if (bad.length > 0) throw new SmokeError(`${bad.length} signatures are wrong.`);
  if (!arrived(event)) throw new SmokeError("What was sent during the pause was lost.");
  return { pausedAtOnce };

  async function pauseAndActivate(endpoint: string) {
    await demand(api("POST", `/endpoint/${endpoint}/pause`), 200);
    const change = await demand(
      api("PUT", `/todo/2?endpoint=${endpoint}`, { completed: true }),
      200,
    );
    const paused = change.eventId ?? "";
    // Convoy has the event: it discards what is sent to a paused endpoint.
    await until(
      "Convoy's answer to a paused endpoint's event",
      async () =>
        arrived(paused) || (await deliveries(endpoint)).some((one) => one.status === "Discarded"),
    );
    await sleep(PAUSE_MS);
    const atOnce = !arrived(paused);
    const activate = async () =>
      (await api("POST", `/endpoint/${endpoint}/activate`)).status === 200;
    await until("The activation", activate);
    await until("What was sent during the pause", () => arrived(paused));
    return { pausedAtOnce: atOnce, event: paused };
  }

  async function deliveries(endpoint: string): Promise<{ status: string }[]> {
    return (await api("GET", `/endpoint/${endpoint}/delivery`)).body.data ?? [];
  }
}

/** Removes every endpoint and todo of the owner; Convoy keeps only its lists of what was sent. */
async function clearAway(api: Api, say: (line: string) => void): Promise<void> {
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
      ? "Removed: the endpoint, its subscription and the todos. Convoy's lists of events stay."
      : `Could not be removed from Convoy; remove by hand: ${left.join("; ")}`,
  );
}
