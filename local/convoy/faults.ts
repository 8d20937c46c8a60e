// Trouble on request: what the API or a receiver does wrong, for tests and for people who want to see it.
import { MAX_FAULT_LATENCY_MS } from "../config.ts";

/** One side's trouble. Nothing set: none. */
export type Fault = {
  /** Answer with this HTTP status instead of doing the work. */
  status?: number;
  /** The message of that answer. */
  message?: string;
  /** Retry-After of that answer, in seconds. */
  retry_after_s?: number;
  /** Wait so long before anything else. */
  latency_ms?: number;
  /** Share of the requests that are hit, 0 to 1; 1 if not given. */
  rate?: number;
  /** Never answer, until the faults change or the client leaves; then nothing is done. */
  hang?: boolean;
  /** Close the connection without an answer. */
  drop?: boolean;
  /** Answer 201 and forget the event, as Convoy does with its Redis down (API side only). */
  swallow?: boolean;
};

/** Both sides' trouble: the API's, and the receivers' under `deliveries`. */
export type Faults = Fault & { deliveries?: Fault };

/** The connection that a fault closed; looks like what fetch throws for one. */
export class ConnectionDropped extends TypeError {
  constructor() {
    super("fetch failed: the connection was closed by a fault");
    this.name = "ConnectionDropped";
  }
}

/** What a fault makes of a call: `go` does the work, `swallow` pretends to, `answer` replaces it. */
export type FaultOutcome =
  | { kind: "go" }
  | { kind: "swallow" }
  | { kind: "answer"; status: number; message: string; retryAfterS?: number };

/** The faults in force, and how a call goes through them. */
export type FaultControl = {
  get(): Faults;
  set(faults: Faults): void;
  /** Takes a call through one side's fault. Rejects with ConnectionDropped, or with the signal's reason. */
  pass(side: "api" | "deliveries", signal?: AbortSignal): Promise<FaultOutcome>;
};

const CHECKS: Record<keyof Fault, (value: unknown) => string | undefined> = {
  status: (value) => wholeNumber(value, 200, 599),
  message: (value) => (typeof value === "string" ? undefined : "must be a string"),
  retry_after_s: (value) => wholeNumber(value, 0, 86_400),
  latency_ms: (value) => wholeNumber(value, 0, MAX_FAULT_LATENCY_MS),
  rate: (value) =>
    typeof value === "number" && value >= 0 && value <= 1 ? undefined : "must be from 0 to 1",
  hang: trueOrFalse,
  drop: trueOrFalse,
  swallow: trueOrFalse,
};

function wholeNumber(value: unknown, from: number, to: number): string | undefined {
  const ok = typeof value === "number" && Number.isInteger(value) && value >= from && value <= to;
  return ok ? undefined : `must be a whole number from ${from} to ${to}`;
}

function trueOrFalse(value: unknown): string | undefined {
  return typeof value === "boolean" ? undefined : "must be true or false";
}

function problemsOf(fault: object, prefix: string, allowed: string[]): string[] {
  const problems: string[] = [];
  for (const [name, value] of Object.entries(fault)) {
    if (!allowed.includes(name)) {
      problems.push(`${prefix}${name}: unknown; known are ${allowed.join(", ")}`);
      continue;
    }
    if (name === "deliveries") continue;
    const problem = CHECKS[name as keyof Fault](value);
    if (problem) problems.push(`${prefix}${name}: ${problem}`);
  }
  return problems;
}

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Reads the body of PUT /inbox/faults; says everything that is wrong with it. */
export function readFaults(body: unknown): { faults: Faults } | { problem: string } {
  if (!isObject(body)) return { problem: "the body must be a JSON object; {} resets" };
  const names = Object.keys(CHECKS);
  const problems = problemsOf(body, "", [...names, "deliveries"]);
  const deliveries = (body as { deliveries?: unknown }).deliveries;
  if (deliveries !== undefined) {
    if (!isObject(deliveries)) problems.push("deliveries: must be an object");
    else
      problems.push(
        ...problemsOf(
          deliveries,
          "deliveries.",
          names.filter((name) => name !== "swallow"),
        ),
      );
  }
  return problems.length > 0 ? { problem: problems.join("; ") } : { faults: body as Faults };
}

/** No faults to begin with; `onChange` is called after each change. */
export function createFaults(onChange: () => void): FaultControl {
  let faults: Faults = {};
  let changed = new AbortController();

  /** Settles when the faults change (true) or the time is over (false); rejects when the client leaves. */
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
    set(next) {
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
      return { kind: fault.swallow ? "swallow" : "go" };
    },
  };
}
