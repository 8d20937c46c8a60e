/**
 * Convoy's HTTP API: one call, its response, its pages. Only src/convoy/ knows it. Facts come from
 * recordings of Convoy v26.6.6.
 */
import { withTimeout } from "../run.ts";
import { type Bindings, CONVOY_SETTINGS, settingsOf } from "../settings.ts";

/** Pinned, so that Convoy's request and response formats stay as recorded. */
const CONVOY_VERSION = "2025-11-24";
/** Timeout of a call about an endpoint: Convoy pings an https URL for up to 10 s on creation. */
export const ENDPOINT_TIMEOUT_MS = 15_000;
/** Timeout of a call for something that is only extra while a caller waits (an event's deliveries). */
export const LOOKUP_TIMEOUT_MS = 5_000;
/** Longest Retry-After that is honoured; a typo there must not stop delivery for days. */
const RETRY_AFTER_MAX_MS = 3_600_000;
/**
 * A Retry-After above this, in seconds (a year), is a UNIX time: Convoy v26.6.6 to v26.7.2 with
 * Redis down (recorded).
 */
const RETRY_AFTER_TIME_S = 31_536_000;

// A page of 100 deliveries is some 320 KB; other programs' bodies may be larger.
const ANSWER_MAX_BYTES = 4 * 1024 * 1024;

/** Where Convoy is and who we are there. */
export type Convoy = {
  baseUrl: string;
  apiKey: string;
  projectId: string;
  send: (request: Request) => Promise<Response>;
};

/**
 * Convoy as the settings name it.
 * @throws SettingError naming what is missing or wrong
 */
export function convoyOf(env: Bindings): Convoy {
  const binding = env.CONVOY;
  const send: Convoy["send"] = (request) => (binding ? binding.fetch(request) : fetch(request));
  return { ...settingsOf(env, CONVOY_SETTINGS).convoy, send };
}

/**
 * Convoy's response. `status` is null if there was none; `message` is Convoy's own text, which may
 * contain anything: show it only through `shownReason`.
 */
export type Answer<T> = { ok: true; status: number; message: string; data: T } | Failure;

/** A response that is not a success. */
export type Failure = {
  ok: false;
  status: number | null;
  message: string;
  retryAfterMs: number | null;
  /** This invocation may make no more requests: Convoy was not asked. */
  notSent?: boolean;
  /** It was no Convoy that answered: a web page, a proxy, a firewall, another service. */
  foreign?: true;
  /** The call changes something, and may still be carried out: no answer, or a proxy's in Convoy's place. */
  undecided?: true;
};

/** A list is sent by repeating the parameter. */
type Query = Record<string, string | number | readonly string[] | undefined>;
type Call = { method?: string; query?: Query; body?: unknown; timeoutMs?: number };

/** One call to Convoy's API. Never throws: an outage is a `Failure` too. */
export async function call<T>(
  convoy: Convoy,
  path: string,
  options: Call = {},
): Promise<Answer<T>> {
  const { method = "GET", query = {}, body, timeoutMs = ENDPOINT_TIMEOUT_MS } = options;
  const url = new URL(
    `${convoy.baseUrl}/v1/projects/${encodeURIComponent(convoy.projectId)}${path}`,
  );
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value].flat()) {
      if (one !== undefined) url.searchParams.append(name, String(one));
    }
  }
  try {
    return await withTimeout(timeoutMs, async (signal) => {
      const response = await convoy.send(
        new Request(url, {
          method,
          signal,
          // A redirect would carry the key elsewhere.
          redirect: "manual",
          headers: {
            Authorization: `Bearer ${convoy.apiKey}`,
            "Content-Type": "application/json",
            "X-Convoy-Version": CONVOY_VERSION,
          },
          // Minified: Convoy signs compacted JSON but delivers the bytes as posted (recorded).
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        }),
      );
      return toAnswer<T>(response, await textOf(response), method);
    });
  } catch (error) {
    const message = error instanceof Error ? error.name : "Error";
    const failure = { ok: false, status: null, message, retryAfterMs: null } as const;
    if (/too many subrequests|subrequest limit/i.test(String(error))) {
      return { ...failure, notSent: true };
    }
    return { ...failure, ...(method === "GET" ? {} : { undecided: true }) };
  }
}

/** The body; of one that is larger than an answer may be, nothing: a page of others' large bodies, say. */
async function textOf(response: Response): Promise<string> {
  if (response.body === null) return "";
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    bytes += value.length;
    if (bytes > ANSWER_MAX_BYTES) {
      await reader.cancel();
      return "";
    }
    text += decoder.decode(value, { stream: true });
  }
}

function toAnswer<T>(response: Response, text: string, method: string): Answer<T> {
  const envelope = parseEnvelope(text);
  const message = envelope?.message ?? "";
  const { status } = response;
  // Only Convoy's own envelope counts: a proxy's 200 page is not acceptance.
  if (response.ok && envelope?.status === true) {
    return { ok: true, status, message, data: envelope.data as T };
  }
  return {
    ok: false,
    status,
    message,
    retryAfterMs: retryAfter(response.headers.get("Retry-After")),
    // Proxies answer for a Convoy that is busy or down; any other answer of Convoy has its envelope.
    ...(!envelope && status !== 429 && status < 500 ? { foreign: true } : {}),
    ...(!envelope && status >= 500 && method !== "GET" ? { undecided: true } : {}),
  };
}

function parseEnvelope(text: string) {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return null;
    const { status, message, data } = value as Record<string, unknown>;
    if (typeof status !== "boolean") return null;
    return { status, message: typeof message === "string" ? message : "", data };
  } catch {
    return null;
  }
}

function retryAfter(header: string | null): number | null {
  if (!header) return null;
  const number = /^\d+$/.test(header) ? Number(header) : null;
  const isSeconds = number !== null && number <= RETRY_AFTER_TIME_S;
  const at = number === null ? Date.parse(header) : number * 1_000;
  const ms = isSeconds ? number * 1_000 : at - Date.now();
  return Number.isFinite(ms) && ms > 0 ? Math.min(ms, RETRY_AFTER_MAX_MS) : null;
}

/** A success that is not what was asked for says nothing. */
export function unreadable({ status }: Answer<unknown>): Failure {
  return { ok: false, status, message: UNREADABLE, retryAfterMs: null };
}

const UNREADABLE = "not what was asked for";

/** A text of Convoy's, or "" if it is none. */
export function textOr(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** A count of Convoy's, or 0 if it is none. */
export function wholeNumber(value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : 0;
}

/**
 * A page of a list, by default newest first; `next` is the cursor of the next page, null on the last. What is no object
 * is left out, and then it is not whole.
 */
export type Page<T> = { items: T[]; isWhole: boolean; next: string | null };

/** One page of a list. Never throws. */
export async function list<T extends object>(
  convoy: Convoy,
  path: string,
  options: Call,
): Promise<Answer<Page<T>>> {
  const answer = await call<Record<string, unknown> | null>(convoy, path, options);
  if (!answer.ok) return answer;
  const { content, pagination } = answer.data ?? {};
  // Null is an empty list (recorded).
  const all = content === null ? [] : content;
  const { has_next_page: isMore, next_page_cursor: cursor } = Object(pagination);
  const next = isMore === false ? null : textOr(cursor);
  // What is no page says nothing, not even that there is nothing; nor does a next page that cannot be asked for.
  const isPage = Array.isArray(all) && typeof isMore === "boolean" && next !== "";
  if (!isPage) return unreadable(answer);
  const items = all.filter((one): one is T => typeof one === "object" && one !== null);
  return { ...answer, data: { items, isWhole: items.length === all.length, next } };
}

/** Which page: it begins with the item that the cursor names (recorded). */
export type PageOptions = { perPage: number; cursor?: string | undefined; timeoutMs?: number };

/** The query of a page. */
export function paging({ perPage, cursor }: PageOptions): Query {
  return { perPage, ...(cursor ? { direction: "next", next_page_cursor: cursor } : {}) };
}

/** UTC without a zone, in whole seconds: the only format that Convoy's filters take (recorded). */
export function convoyTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19);
}

/** The project of our key, whatever id the path has (recorded); 401 with a bad key. */
export function getProject(convoy: Convoy) {
  return call<{ uid: string }>(convoy, "", { timeoutMs: LOOKUP_TIMEOUT_MS });
}

/** What the message of a failure is if the key is another project's. */
export const ANOTHER_PROJECT =
  "CONVOY_API_KEY belongs to another project, not to CONVOY_PROJECT_ID";

// What Convoy says about an endpoint that the caller can fix (recorded, and from Convoy's source).
const MENDABLE_REASONS = [
  /^endpoint url must [a-z ]+$/,
  /^Invalid (request format|input provided)$/,
  /^(url|name):please provide [a-zA-Z ]+(, (url|name):please provide [a-zA-Z ]+)?$/,
  /^please provide the endpoint url$/,
  /^only https endpoints allowed$/,
  /^invalid endpoint scheme$/,
  /^cannot use localhost or 127\.0\.0\.1$/,
  /^endpoint URL templates? [a-z ]+$/,
];

// Other messages of Convoy that contain no secret; any that is not listed may name hosts or users.
const KNOWN_REASONS = [
  ...MENDABLE_REASONS,
  /^endpoint not found$/,
  /^a subscription for this endpoint already exists$/,
  /^(data|event_type|owner_id):please provide [a-z ]+$/,
  /^current endpoint status - [a-z]+, does not support activation$/,
  /^no subscription matched this event$/,
  /^authorization failed$/,
  /^Access denied$/,
];

/**
 * Why the caller's endpoint was refused, if the caller can fix it; else null. A failed ping of the URL
 * gets a text of ours: Convoy's names what it found there.
 */
export function mendableReason(answer: Answer<unknown>): string | null {
  if (answer.ok || answer.status !== 400) return null;
  if (/^(failed to ping tls endpoint|endpoint validation failed)\b/.test(answer.message)) {
    return "Convoy could not reach the URL: it must answer over https with a valid certificate";
  }
  return MENDABLE_REASONS.some((reason) => reason.test(answer.message)) ? answer.message : null;
}

// What Convoy answers, with a 400 or a 404, while its Postgres is down (recorded).
const OUTAGE_REASONS =
  /^(failed to (connect|find|load)|an error occurred while|Resource not found)/i;

/** Whether waiting helps: no answer, too many calls, or an outage at Convoy. */
export function isOutage({ status, message, foreign }: Failure): boolean {
  if (status === null || status === 429 || status >= 500) return true;
  return !foreign && (status === 400 || status === 404) && OUTAGE_REASONS.test(message);
}

/** A failure as text that is safe to store and show: Convoy's own only if known to contain no secret. */
export function shownReason(answer: Failure): string {
  if (answer.status === null) {
    return answer.message === "TimeoutError"
      ? "Convoy did not answer in time"
      : "Convoy not reachable";
  }
  if (answer.foreign) {
    return `What is at CONVOY_BASE_URL is no Convoy, or something in front of it answered ${answer.status}: is the address right, up to /api?`;
  }
  if (answer.message === ANOTHER_PROJECT) return ANOTHER_PROJECT;
  if (answer.message === UNREADABLE) return `Convoy answered ${answer.status}, ${UNREADABLE}`;
  const known = KNOWN_REASONS.some((reason) => reason.test(answer.message));
  return `Convoy answered ${answer.status}${known ? `: ${answer.message}` : ""}`;
}
