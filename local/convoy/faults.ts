// Faults on request: what the API or a receiver does wrong, for tests and for people who want to see it.
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod/mini";

/** Longest delay that a fault may ask for: longer is what `hang` is for. */
const MAX_LATENCY_MS = 60_000;
/** Longest that a fault may let a delivery appear late: beyond what any clock or transaction does. */
const MAX_RACE_MS = 60_000;
/** The longest that a timer takes: 24 days. */
const FOREVER_MS = 2 ** 31 - 1;

/**
 * What gets stranded: `delivery` stays Scheduled without an attempt while its event is Success; `retry` fails its
 * first attempt and is never retried; `processing` reaches its receiver and stays Processing; an `event` stays in
 * Retry without deliveries. All seen: the first, second and last after Redis lost its data, the third with Postgres
 * starved.
 */
const STRANDED = ["delivery", "retry", "processing", "event"] as const;
export type Strand = (typeof STRANDED)[number];

const wholeNumber = (from: number, to: number) => {
  const error = `must be a whole number from ${from} to ${to}`;
  return z.optional(z.int(error).check(z.gte(from, error), z.lte(to, error)));
};
const flag = z.optional(z.boolean("must be true or false"));
const NO_SHARE = "must be from 0 to 1";
const share = z.optional(z.number(NO_SHARE).check(z.gte(0, NO_SHARE), z.lte(1, NO_SHARE)));
/** An object with only these members. */
const members = <Shape extends Record<string, z.ZodMiniType>>(shape: Shape, what: string) =>
  z.strictObject(shape, {
    error: ({ code }) =>
      code === "unrecognized_keys" ? `unknown; known are ${Object.keys(shape).join(", ")}` : what,
  });

const FAULT = {
  /** Answers with this HTTP status instead of doing the work. */
  status: wholeNumber(200, 599),
  message: z.optional(z.string("must be a string")),
  retry_after_s: wholeNumber(0, 86_400),
  /** Waits this long before anything else. */
  latency_ms: wholeNumber(0, MAX_LATENCY_MS),
  /** Share of requests affected; 1 by default. */
  rate: share,
  /** Does not answer until the faults change or the client leaves; the work is never done. */
  hang: flag,
  /** Closes the connection without an answer. */
  drop: flag,
};

const FAULTS = members(
  {
    ...FAULT,
    /** Answers 201 and forgets the event, as Convoy does while its Redis is down. */
    swallow: flag,
    /** Redis does not answer; the effect depends on the version. The queue stands still meanwhile. */
    redis_down: flag,
    /** Postgres does not answer: almost every call is refused, some with a 404. The queue stands still meanwhile. */
    postgres_down: flag,
    /** Happens once, when set: what is queued right now is never sent. Not shown afterwards. */
    redis_lost: flag,
    /** The queue stands still: what is accepted waits until this ends. */
    stall: flag,
    /** Strands a share (`rate`; 1 by default) of the new deliveries or events. */
    strand: z.optional(
      members(
        {
          what: z.optional(z.enum(STRANDED, `must be one of ${STRANDED.join(", ")}`)),
          rate: share,
        },
        "must be an object",
      ),
    ),
    /** Workers race: a new delivery appears in the list up to this much after its created_at. */
    race_ms: wholeNumber(0, MAX_RACE_MS),
    deliveries: z.optional(members(FAULT, "must be an object")),
  },
  "the body must be a JSON object; {} resets",
);

/** The faults of the API, of the receivers (`deliveries`) and of the queue between them. */
export type Faults = z.infer<typeof FAULTS>;

/** Reads the body of PUT /inbox/faults; reports everything that is wrong with it. */
export function readFaults(body: unknown): { faults: Faults } | { problem: string } {
  const { success, data, error } = FAULTS.safeParse(body);
  if (success) return { faults: data };
  const problems = error.issues.flatMap((issue) => {
    const names = issue.code === "unrecognized_keys" ? issue.keys : [undefined];
    return names.map((name) => {
      const at = [...issue.path, name].filter((part) => part !== undefined).join(".");
      return at === "" ? issue.message : `${at}: ${issue.message}`;
    });
  });
  return { problem: problems.join("; ") };
}

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
  | { kind: "answer"; status: number; message: string; headers: Record<string, string> };

/** The faults in force, and how they affect calls. */
export type FaultControl = ReturnType<typeof createFaults>;

/** Starts without faults; calls `onChange` after each change. */
export function createFaults(onChange: () => void) {
  let faults: Faults = {};
  let changed = new AbortController();

  /** Resolves when the faults change or the time is up; rejects when the client leaves. */
  const wait = async (ms: number, leaving: AbortSignal | undefined): Promise<void> => {
    const signal = AbortSignal.any([changed.signal, ...(leaving ? [leaving] : [])]);
    await sleep(ms, undefined, { signal }).catch(() => leaving?.throwIfAborted());
  };

  return {
    get: () => faults,
    set({ redis_lost: _, ...next }: Faults) {
      faults = next;
      const old = changed;
      changed = new AbortController();
      old.abort();
      onChange();
    },
    /** Applies one side's fault to a call. Rejects with ConnectionDropped, or with the signal's reason. */
    async pass(side: "api" | "deliveries", signal?: AbortSignal): Promise<FaultOutcome> {
      const fault = side === "api" ? faults : faults.deliveries;
      if (!fault || Math.random() >= (fault.rate ?? 1)) return { kind: "go" };
      if (fault.latency_ms) await wait(fault.latency_ms, signal);
      if (fault.hang) {
        await wait(FOREVER_MS, signal);
        throw new ConnectionDropped();
      }
      if (fault.drop) throw new ConnectionDropped();
      const { status, message = "a fault asked for this answer", retry_after_s: afterS } = fault;
      if (status !== undefined) {
        const headers: Record<string, string> = {};
        if (afterS !== undefined) headers["Retry-After"] = `${afterS}`;
        return { kind: "answer", status, message, headers };
      }
      if (side === "deliveries") return { kind: "go" };
      for (const kind of ["redis_down", "postgres_down", "swallow"] as const)
        if (faults[kind]) return { kind };
      return { kind: "go" };
    },
    /** How to strand a new delivery or event; undefined if not at all. */
    strand(of: "delivery" | "event"): Strand | undefined {
      const { what = "delivery", rate = 1 } = faults.strand ?? { rate: 0 };
      const meant = (what === "event") === (of === "event");
      return meant && Math.random() < rate ? what : undefined;
    },
  };
}
