// Faults on request: what the API or a receiver does wrong, for tests and for people who want to see it.
import { MAX_FAULT_LATENCY_MS, MAX_FAULT_RACE_MS } from "../config.ts";

/** The fault of one side; none if nothing is set. */
export type Fault = {
  /** Answers with this HTTP status instead of doing the work. */
  status?: number;
  /** The message of that answer. */
  message?: string;
  /** Retry-After of that answer, in seconds. */
  retry_after_s?: number;
  /** Waits this long before anything else. */
  latency_ms?: number;
  /** Share of requests affected, 0 to 1; 1 by default. */
  rate?: number;
  /** Does not answer until the faults change or the client leaves; the work is never done. */
  hang?: boolean;
  /** Closes the connection without an answer. */
  drop?: boolean;
};

/**
 * What gets stranded: `delivery` stays Scheduled without an attempt while its event is Success; `retry` fails its
 * first attempt and is never retried; `processing` reaches its receiver and stays Processing; an `event` stays in
 * Retry without deliveries. All seen: the first, second and last after Redis lost its data, the third with Postgres
 * starved.
 */
export const STRANDED = ["delivery", "retry", "processing", "event"] as const;
/** How a delivery or an event is stranded. */
export type Strand = (typeof STRANDED)[number];

/** The faults of the API, of the receivers (`deliveries`) and of the queue between them. */
export type Faults = Fault & {
  /** Answers 201 and forgets the event, as Convoy does while its Redis is down. */
  swallow?: boolean;
  /** Redis does not answer; the effect depends on the version. The queue stands still meanwhile. */
  redis_down?: boolean;
  /** Postgres does not answer: almost every call is refused, some with a 404. The queue stands still meanwhile. */
  postgres_down?: boolean;
  /** Happens once, when set: what is queued right now is never sent. Not shown afterwards. */
  redis_lost?: boolean;
  /** The queue stands still: what is accepted waits until this ends. */
  stall?: boolean;
  /** Strands a share (`rate`, 0 to 1; 1 by default) of the new deliveries or events. */
  strand?: { what?: Strand; rate?: number };
  /** Workers race: a new delivery appears in the list up to this much after its created_at. */
  race_ms?: number;
  deliveries?: Fault;
};

/** A connection closed by a fault; looks like the error that fetch throws. */
export class ConnectionDropped extends TypeError {
  constructor() {
    super("fetch failed: the connection was closed by a fault");
    this.name = "ConnectionDropped";
  }
}

/** How a fault affects a call: `go` does the work, `swallow` pretends to, `answer` replaces it, the rest varies. */
export type FaultOutcome =
  | { kind: "go" | "swallow" | "redis_down" | "postgres_down" }
  | { kind: "answer"; status: number; message: string; retryAfterS?: number };

/** The faults in force, and how they affect calls. */
export type FaultControl = {
  get(): Faults;
  set(faults: Faults): void;
  /** Applies one side's fault to a call. Rejects with ConnectionDropped, or with the signal's reason. */
  pass(side: "api" | "deliveries", signal?: AbortSignal): Promise<FaultOutcome>;
  /** How to strand a new delivery or event; undefined if not at all. */
  strand(of: "delivery" | "event"): Strand | undefined;
};

/** Returns what is wrong with a value and its path; undefined if nothing is. */
type Check = (value: unknown, path: string) => string | undefined;

const leaf =
  (isFine: (value: unknown) => boolean, problem: string): Check =>
  (value, path) =>
    isFine(value) ? undefined : `${path}: ${problem}`;

const wholeNumber = (from: number, to: number): Check =>
  leaf(
    (value) => Number.isInteger(value) && Number(value) >= from && Number(value) <= to,
    `must be a whole number from ${from} to ${to}`,
  );
const flag = leaf((value) => typeof value === "boolean", "must be true or false");
const share = leaf(
  (value) => typeof value === "number" && value >= 0 && value <= 1,
  "must be from 0 to 1",
);

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Checks an object with only these members, each optional. */
const members =
  (checks: Record<string, Check>): Check =>
  (value, path) => {
    if (!isObject(value)) return `${path}: must be an object`;
    const problems = Object.entries(value).flatMap(([name, one]) => {
      const known = Object.hasOwn(checks, name) ? checks[name] : undefined;
      const check =
        known ?? leaf(() => false, `unknown; known are ${Object.keys(checks).join(", ")}`);
      return check(one, path === "" ? name : `${path}.${name}`) ?? [];
    });
    return problems.length > 0 ? problems.join("; ") : undefined;
  };

const FAULT: Record<keyof Fault, Check> = {
  status: wholeNumber(200, 599),
  message: leaf((value) => typeof value === "string", "must be a string"),
  retry_after_s: wholeNumber(0, 86_400),
  latency_ms: wholeNumber(0, MAX_FAULT_LATENCY_MS),
  rate: share,
  hang: flag,
  drop: flag,
};

const FAULTS: Record<keyof Faults, Check> = {
  ...FAULT,
  swallow: flag,
  redis_down: flag,
  postgres_down: flag,
  redis_lost: flag,
  stall: flag,
  strand: members({
    what: leaf(
      (value) => STRANDED.some((one) => one === value),
      `must be one of ${STRANDED.join(", ")}`,
    ),
    rate: share,
  }),
  race_ms: wholeNumber(0, MAX_FAULT_RACE_MS),
  deliveries: members(FAULT),
};

/** Reads the body of PUT /inbox/faults; reports everything that is wrong with it. */
export function readFaults(body: unknown): { faults: Faults } | { problem: string } {
  if (!isObject(body)) return { problem: "the body must be a JSON object; {} resets" };
  const problem = members(FAULTS)(body, "");
  return problem === undefined ? { faults: body as Faults } : { problem };
}

/** Starts without faults; calls `onChange` after each change. */
export function createFaults(onChange: () => void): FaultControl {
  let faults: Faults = {};
  let changed = new AbortController();

  /** Resolves when the faults change (true) or the time is up (false); rejects when the client leaves. */
  const wait = (ms: number | undefined, signal: AbortSignal | undefined): Promise<boolean> =>
    new Promise((resolve, reject) => {
      const timer =
        ms === undefined ? undefined : setTimeout(() => finish(() => resolve(false)), ms);
      const onFaults = () => finish(() => resolve(true));
      const onAbort = () => finish(() => reject(signal?.reason));
      const now = changed.signal;
      const finish = (then: () => void) => {
        clearTimeout(timer);
        now.removeEventListener("abort", onFaults);
        signal?.removeEventListener("abort", onAbort);
        then();
      };
      now.addEventListener("abort", onFaults);
      signal?.addEventListener("abort", onAbort);
      if (signal?.aborted) onAbort();
    });

  return {
    get: () => faults,
    set({ redis_lost: _, ...next }) {
      faults = next;
      const old = changed;
      changed = new AbortController();
      old.abort();
      onChange();
    },
    async pass(side, signal) {
      const fault = side === "api" ? faults : faults.deliveries;
      if (!fault || Math.random() >= (fault.rate ?? 1)) return { kind: "go" };
      if (fault.latency_ms) await wait(fault.latency_ms, signal);
      if (fault.hang) {
        await wait(undefined, signal);
        throw new ConnectionDropped();
      }
      if (fault.drop) throw new ConnectionDropped();
      if (fault.status !== undefined) {
        return {
          kind: "answer",
          status: fault.status,
          message: fault.message ?? "a fault asked for this answer",
          ...(fault.retry_after_s === undefined ? {} : { retryAfterS: fault.retry_after_s }),
        };
      }
      if (side === "deliveries") return { kind: "go" };
      for (const kind of ["redis_down", "postgres_down", "swallow"] as const)
        if (faults[kind]) return { kind };
      return { kind: "go" };
    },
    strand(of) {
      const { what = "delivery", rate = 1 } = faults.strand ?? { rate: 0 };
      const meant = (what === "event") === (of === "event");
      return meant && Math.random() < rate ? what : undefined;
    },
  };
}
