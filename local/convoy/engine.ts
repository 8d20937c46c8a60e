// What happens after the 201: events become deliveries, which are sent, retried and given up. Nothing polls.
import { agentEndpoint } from "./agent.ts";
import { attempt } from "./attempt.ts";
import type { Context } from "./context.ts";
import { createRates } from "./rate.ts";
import { recordArrival, recordAttempt } from "./store/attempts.ts";
import {
  type DeliveryRow,
  findDelivery,
  openDeliveries,
  rescheduleDelivery,
  setDeliveryStatus,
  strandWaitingDeliveries,
} from "./store/deliveries.ts";
import type { EndpointRow } from "./store/endpoints.ts";
import { processEvent, strandWaitingEvents, waitingEvents } from "./store/events.ts";

/** Most deliveries on their way at once: Convoy's consumer pool is 100; one laptop needs less. */
const MAX_CONCURRENT_DELIVERIES = 32;
/** Events turned into deliveries at once, before requests get their turn again. */
const EVENTS_A_TURN = 100;

export type Engine = ReturnType<typeof createEngine>;

/** Starts the engine and resumes what an earlier run on the same file left unfinished. */
export function createEngine(context: Context) {
  /** Deliveries in the order in which to send them. */
  const queue = new Set<string>();
  const active = new Set<string>();
  const timers = new Map<string, NodeJS.Timeout>();
  const rates = createRates(context.options.now);
  /** Deliveries that an endpoint's rate limit has held back once. */
  const limited = new Set<string>();
  const waiters: (() => void)[] = [];
  let stop = new AbortController();
  let turns = 0;
  let turnPlanned = false;
  let closed = false;

  /** Whether nothing may leave the queue: a fault stops it. */
  const held = () => {
    const { stall, redis_down, postgres_down } = context.faults.get();
    return [stall, redis_down, postgres_down].includes(true);
  };
  const resting = () =>
    active.size === 0 && turns === 0 && (held() || (queue.size === 0 && !turnPlanned));
  const settle = () => {
    if (resting()) for (const waiter of waiters.splice(0)) waiter();
  };

  /** Runs `work` in a later turn of the event loop; idle waits for it. */
  const later = (work: () => void) => {
    turns++;
    setImmediate(() => {
      turns--;
      if (!closed) work();
      settle();
    });
  };

  /** Call it when there may be events to process. */
  const wake = () => {
    if (held() || closed || turnPlanned) return;
    turnPlanned = true;
    later(() => {
      turnPlanned = false;
      // Faults may have been set meanwhile.
      if (held()) return;
      const events = waitingEvents(context, EVENTS_A_TURN);
      if (events.length === 0) return;
      const turn = { bare: new Set<string>(), keys: new Set<string>() };
      const created = context.db.transaction(() =>
        events.flatMap((event) => processEvent(context, event, turn)),
      );
      for (const uid of created) queue.add(uid);
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
    for (const uid of queue) {
      if (held() || closed || active.size >= MAX_CONCURRENT_DELIVERIES) break;
      queue.delete(uid);
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
    const endpoint = agentEndpoint(context, row.endpoint_id);
    // A pause holds back new deliveries only: those that exist are tried to their end (recorded).
    if (!endpoint || endpoint.status === "inactive") {
      setDeliveryStatus(context, uid, "Discarded");
      context.publish({ kind: "delivery", id: uid });
      return;
    }
    if (isLimited(row, endpoint)) return;
    setDeliveryStatus(context, uid, "Processing");
    const { sent, answer } = await attempt(context, row, endpoint, stopped);
    if (stopped.aborted) return;
    if (row.strand === "processing") recordArrival(context, row, sent, answer);
    else {
      const status = recordAttempt(context, row, endpoint, sent, answer);
      if (status === "Retry" && row.strand === null) retryAt(uid, context.options.retry.intervalMs);
    }
    context.publish({ kind: "delivery", id: uid });
  };

  /** Holds a delivery back: first for a retry's interval, then for the limit's duration. Its row stays as it is (recorded). */
  const isLimited = (
    { uid, status }: DeliveryRow,
    { uid: endpointId, rate_limit, rate_limit_duration_s: durationS }: EndpointRow,
  ): boolean => {
    if (rates.allow(endpointId, rate_limit, durationS)) {
      limited.delete(uid);
      return false;
    }
    const again = status === "Retry" || limited.has(uid);
    limited.add(uid);
    retryAt(uid, again ? durationS * 1000 : context.options.retry.intervalMs);
    return true;
  };

  const retryAt = (uid: string, inMs: number) => {
    clearTimeout(timers.get(uid));
    const timer = setTimeout(() => {
      timers.delete(uid);
      queue.add(uid);
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
      else queue.add(row.uid);
    }
    goOn();
  };

  /** Resumes what is waiting, since whatever held it may have ended. */
  const goOn = () => {
    if (queue.size > 0 && !held()) later(pump);
    wake();
  };

  const emptyQueue = () => {
    queue.clear();
    limited.clear();
    rates.clear();
    for (const timer of timers.values()) clearTimeout(timer);
    timers.clear();
  };

  /** Drops what is queued; what is on its way ends without effect. */
  const forget = () => {
    emptyQueue();
    const old = stop;
    stop = new AbortController();
    old.abort(new Error("the local Convoy stopped"));
  };

  resume();
  context.listeners.add((change) => {
    if (change.kind === "faults") goOn();
  });
  return {
    wake,
    forget,
    /** Resolves when nothing is queued or on its way; retries in the future do not count. */
    idle: async () => {
      if (!resting()) await new Promise<void>((resolve) => waiters.push(resolve));
    },
    /** Redis loses its data: what is queued stays as it is forever; what is on its way continues. */
    lose() {
      emptyQueue();
      context.db.transaction(() => {
        strandWaitingDeliveries(context);
        strandWaitingEvents(context);
      });
    },
    /** Sends a delivery again, whatever its status; false if it is already on its way. */
    requeue(uid: string): boolean {
      if (active.has(uid) || queue.has(uid)) return false;
      clearTimeout(timers.get(uid));
      timers.delete(uid);
      rescheduleDelivery(context, uid);
      queue.add(uid);
      context.publish({ kind: "delivery", id: uid });
      later(pump);
      return true;
    },
    /** Stops; the next start on the same file resumes what is unfinished. */
    async close() {
      closed = true;
      forget();
      settle();
      while (active.size > 0) await new Promise((resolve) => setImmediate(resolve));
    },
  };
}
