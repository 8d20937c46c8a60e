// What happens after the 201: events become deliveries, deliveries are sent, retried, and given up. Nothing polls.
import { STATUS_CODES } from "node:http";
import { CONVOY_VERSION, EVENTS_A_TURN, MAX_CONCURRENT_DELIVERIES } from "../config.ts";
import { type Answer, attempt, type Sent } from "./attempt.ts";
import type { Context } from "./context.ts";
import {
  type DeliveryRow,
  type DeliveryStatus,
  findDelivery,
  openDeliveries,
  setDeliveryStatus,
} from "./store/deliveries.ts";
import { type EndpointRow, findEndpoint } from "./store/endpoints.ts";
import { processEvent, waitingEvents } from "./store/events.ts";

/** The part of a local Convoy that works on its own. */
export type Engine = {
  /** There may be events to process. */
  wake(): void;
  /** Sends a delivery again, whatever became of it; false while it is on its way already. */
  requeue(uid: string): boolean;
  /** Runs `work` in a later turn; idle waits for it. */
  later(work: () => void): void;
  /** Processes what is there now, also where autoDeliver is off, and waits until it is idle. */
  process(): Promise<void>;
  /** Resolves when nothing is queued or on its way; retries in the future do not count. */
  idle(): Promise<void>;
  /** Forgets what is queued; what is on its way ends without effect. */
  forget(): void;
  /** Stops; what is not finished is taken up by the next start on the same file. */
  close(): Promise<void>;
};

/** Starts the engine; takes up what an earlier run on the same file left unfinished. */
export function createEngine(context: Context): Engine {
  const queue: string[] = [];
  const active = new Set<string>();
  const timers = new Map<string, NodeJS.Timeout>();
  const waiters: (() => void)[] = [];
  let stop = new AbortController();
  let turns = 0;
  let held = !context.options.autoDeliver;
  let turnPlanned = false;
  let closed = false;

  const resting = () =>
    active.size === 0 && turns === 0 && (held || (queue.length === 0 && !turnPlanned));
  const settle = () => {
    if (resting()) for (const waiter of waiters.splice(0)) waiter();
  };

  const later = (work: () => void) => {
    turns++;
    setImmediate(() => {
      turns--;
      if (!closed) work();
      settle();
    });
  };

  const wake = () => {
    if (held || closed || turnPlanned) return;
    turnPlanned = true;
    later(() => {
      turnPlanned = false;
      const events = waitingEvents(context, EVENTS_A_TURN);
      if (events.length === 0) return;
      const created = context.db.transaction(() =>
        events.flatMap((event) => processEvent(context, event)),
      );
      queue.push(...created);
      for (const event of events) announce(event.uid);
      pump();
      wake();
    });
  };

  const announce = (eventId: string) => {
    const rows = context.db.all<{ uid: string }>(
      "SELECT uid FROM delivery WHERE event_id = ? ORDER BY uid",
      eventId,
    );
    for (const row of rows) context.publish({ kind: "delivery", id: row.uid });
  };

  const pump = () => {
    while (!held && !closed && active.size < MAX_CONCURRENT_DELIVERIES) {
      const uid = queue.shift();
      if (uid === undefined) break;
      if (active.has(uid)) continue;
      active.add(uid);
      void send(uid, stop.signal).finally(() => {
        active.delete(uid);
        pump();
        settle();
      });
    }
  };

  const send = async (uid: string, stopped: AbortSignal): Promise<void> => {
    const row = findDelivery(context, uid);
    if (!row) return;
    const endpoint = findEndpoint(context, row.endpoint_id);
    if (endpoint?.status !== "active") {
      setDeliveryStatus(context, uid, "Discarded");
      context.publish({ kind: "delivery", id: uid });
      return;
    }
    setDeliveryStatus(context, uid, "Processing");
    const { sent, answer } = await attempt(context, row, endpoint, stopped);
    if (stopped.aborted) return;
    const status = record(context, row, endpoint, sent, answer);
    if (status === "Retry") retryAt(uid, context.options.retry.intervalMs);
    context.publish({ kind: "delivery", id: uid });
  };

  const retryAt = (uid: string, inMs: number) => {
    clearTimeout(timers.get(uid));
    const timer = setTimeout(() => {
      timers.delete(uid);
      queue.push(uid);
      pump();
    }, inMs);
    // A retry in the future must not keep a process alive.
    timer.unref();
    timers.set(uid, timer);
  };

  const resume = () => {
    for (const row of openDeliveries(context)) {
      if (row.status === "Retry")
        retryAt(row.uid, Math.max(0, row.next_send_at - context.options.now()));
      else queue.push(row.uid);
    }
    if (queue.length > 0 && !held) later(pump);
    wake();
  };

  const forget = () => {
    queue.length = 0;
    for (const timer of timers.values()) clearTimeout(timer);
    timers.clear();
    const old = stop;
    stop = new AbortController();
    old.abort(new Error("the local Convoy stopped"));
  };

  const idle = () =>
    resting() ? Promise.resolve() : new Promise<void>((resolve) => waiters.push(resolve));

  resume();
  return {
    wake,
    later,
    idle,
    forget,
    requeue(uid) {
      if (active.has(uid) || queue.includes(uid)) return false;
      clearTimeout(timers.get(uid));
      timers.delete(uid);
      setDeliveryStatus(context, uid, "Scheduled");
      queue.push(uid);
      context.publish({ kind: "delivery", id: uid });
      later(pump);
      return true;
    },
    async process() {
      const before = held;
      held = false;
      wake();
      pump();
      await idle();
      held = before;
    },
    async close() {
      closed = true;
      forget();
      settle();
      while (active.size > 0) await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

/** Writes down an attempt and what follows from it; gives the delivery's new status. */
function record(
  context: Context,
  row: DeliveryRow,
  endpoint: EndpointRow,
  sent: Sent,
  answer: Answer,
): DeliveryStatus {
  const ok = answer.status >= 200 && answer.status < 300;
  const attempts = row.attempts + 1;
  const status = ok ? "Success" : attempts >= context.options.retry.limit ? "Failure" : "Retry";
  const now = context.options.now();
  const at = context.timestamp();
  const uid = context.id();
  const view = {
    uid,
    url: endpoint.url,
    method: "POST",
    endpoint_id: endpoint.uid,
    api_version: CONVOY_VERSION,
    project_id: context.options.projectId,
    msg_id: row.uid,
    ip_address: answer.status === 0 || sent.kept ? "" : "127.0.0.1",
    request_http_header: Object.fromEntries(
      Object.entries(sent.headers).sort(([one], [other]) => (one < other ? -1 : 1)),
    ),
    response_http_header: answer.headers,
    http_status:
      answer.status === 0
        ? ""
        : `${answer.status} ${answer.statusText || (STATUS_CODES[answer.status] ?? "")}`.trim(),
    response_data: answer.body,
    ...(answer.error === null ? {} : { error: answer.error }),
    ...(ok ? { status: true } : {}),
    requested_at: answer.requested_at,
    responded_at: answer.responded_at,
    created_at: at,
    updated_at: at,
    deleted_at: null,
  };
  context.db.transaction(() => {
    context.db.run(
      "INSERT INTO attempt (uid, delivery_id, view, sent, error) VALUES (?, ?, ?, ?, ?)",
      uid,
      row.uid,
      JSON.stringify(view),
      JSON.stringify(sent),
      answer.error,
    );
    context.db.run(
      `UPDATE delivery SET status = ?, attempts = ?, successes = successes + ?, next_send_at = ?, latency_s = ?, url = ?,
         sent = ?, received_at = coalesce(received_at, ?), last_error = ?, updated_at = ? WHERE uid = ?`,
      status,
      attempts,
      Number(ok),
      ok ? row.next_send_at : now + context.options.retry.intervalMs,
      ok ? (now - Date.parse(row.created_at)) / 1000 : 0,
      endpoint.url,
      JSON.stringify(sent),
      answer.responded_at,
      ok ? null : (answer.error ?? view.http_status),
      at,
      row.uid,
    );
  });
  return status;
}
