/** Simulates, event by event and without a real clock, owners' changes on databases that run one statement at a time. */

/** How long a database is busy with each statement, in ms. `row`: per row of a shared one beyond the first. */
export type Busy = { commit: number; settle: number; row: number; cron: number };

/** What is simulated. */
export type Load = {
  owners: number;
  /** Changes per second of all owners together; the n-th largest makes 1/n as many as the largest. */
  rate: number;
  databases: number;
  /** Isolates that requests are spread over; the requests in one isolate settle together, per database. */
  isolates: number;
  /** How long Convoy takes to accept an event; `settleWaitMs`: how long results wait for others. */
  postMs: number;
  settleWaitMs: number;
  /** Whether a queue's consumer settles, in batches of 100 events or one second, instead of each isolate. */
  queue: boolean;
};

/** The result. `busy`: the share of its time that the busiest database works; above 1 its queue only grows. */
export type Outcome = {
  busy: number;
  statements: number;
  /** How long a commit takes, including its wait, in ms. */
  p50: number;
  p99: number;
};

const SECONDS = 60;
const WARM_UP_S = 5;
const QUEUE_BATCH = 100;
const QUEUE_WAIT_MS = 1_000;

type Event = { at: number; run: () => void };

/** Simulates one minute of the load, with the same result every time. */
export function simulate(load: Load, busy: Busy): Outcome {
  const random = generator(1);
  const events = new Heap();
  const databases = Array.from({ length: load.databases }, () => ({ freeAt: 0, workedMs: 0 }));
  const waits: number[] = [];
  let changes = 0;
  let statements = 0;
  const begins = WARM_UP_S * 1_000;
  const ends = begins + SECONDS * 1_000;

  /** Runs one statement after those before it. @returns when it is done */
  const work = (shard: number, at: number, ms: number): number => {
    const database = databases[shard]!;
    database.freeAt = Math.max(at, database.freeAt) + ms;
    if (at >= begins) {
      database.workedMs += ms;
      statements++;
    }
    return database.freeAt;
  };

  const lists = new Map<string, number>();
  const settle = (shard: number, at: number) => {
    // The isolate that handles the request; a queue has one list per database.
    const isolate = load.queue ? 0 : Math.floor(random() * load.isolates);
    const key = `${shard}:${isolate}`;
    const waiting = (lists.get(key) ?? 0) + 1;
    lists.set(key, waiting);
    const flush = (when: number) => {
      const rows = lists.get(key) ?? 0;
      if (rows === 0) return;
      lists.set(key, 0);
      work(shard, when, busy.settle + (rows - 1) * busy.row);
    };
    if (load.queue && waiting >= QUEUE_BATCH) flush(at);
    else if (waiting === 1) {
      const when = at + (load.queue ? QUEUE_WAIT_MS : load.settleWaitMs);
      events.push({ at: when, run: () => flush(when) });
    }
  };

  const sum = Array.from({ length: load.owners }, (_, n) => 1 / (n + 1)).reduce((a, b) => a + b, 0);
  for (let owner = 0; owner < load.owners; owner++) {
    const perMs = (load.rate * (1 / (owner + 1))) / sum / 1_000;
    const shard = shardOf(`owner-${owner}`, load.databases);
    const next = (from: number) => {
      const at = from - Math.log(1 - random()) / perMs;
      if (at >= ends) return;
      events.push({
        at,
        run: () => {
          const done = work(shard, at, busy.commit);
          if (at >= begins) {
            changes++;
            waits.push(done - at);
          }
          const posted = done + load.postMs;
          events.push({ at: posted, run: () => settle(shard, posted) });
          // Confirmation and purge: the same for each change, whenever they run.
          work(shard, at, busy.cron);
          statements -= at >= begins ? 1 : 0;
          next(at);
        },
      });
    };
    next(0);
  }
  for (let event = events.pop(); event && event.at < ends; event = events.pop()) event.run();
  waits.sort((a, b) => a - b);
  const at = (share: number) => waits[Math.min(waits.length - 1, Math.floor(waits.length * share))];
  return {
    busy: Math.max(...databases.map(({ workedMs }) => workedMs)) / (SECONDS * 1_000),
    statements: statements / Math.max(1, changes),
    p50: at(0.5) ?? 0,
    p99: at(0.99) ?? 0,
  };
}

/** An owner's database: the one with the highest hash (rendezvous hashing), so that adding one moves few owners. */
export function shardOf(owner: string, databases: number): number {
  let best = 0;
  let highest = -1;
  for (let shard = 0; shard < databases; shard++) {
    const score = hash(`${shard}:${owner}`);
    if (score > highest) [best, highest] = [shard, score];
  }
  return best;
}

// FNV-1a with a final mix: without it, short texts hardly change the high bits.
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++)
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193) >>> 0;
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b) >>> 0;
  return (value ^ (value >>> 13)) >>> 0;
}

/** Pseudo-random numbers from 0 to 1, the same for each seed (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Upcoming events: a binary heap ordered by time. */
class Heap {
  readonly #events: Event[] = [];

  push(event: Event): void {
    const all = this.#events;
    all.push(event);
    for (let at = all.length - 1; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (all[parent]!.at <= event.at) break;
      [all[at], all[parent]] = [all[parent]!, all[at]!];
      at = parent;
    }
  }

  pop(): Event | undefined {
    const all = this.#events;
    const first = all[0];
    const last = all.pop();
    if (!first || !last || all.length === 0) return first;
    all[0] = last;
    for (let at = 0; ; ) {
      const left = 2 * at + 1;
      if (left >= all.length) return first;
      const child = left + 1 < all.length && all[left + 1]!.at < all[left]!.at ? left + 1 : left;
      if (all[at]!.at <= all[child]!.at) return first;
      [all[at], all[child]] = [all[child]!, all[at]!];
      at = child;
    }
  }
}
