// One attempt of a delivery: sign, send, and record what was sent and what came back.
import { isLoopback } from "../../src/loopback.ts";
import type { Context } from "./context.ts";
import { withCredentials } from "./credentials.ts";
import { ConnectionDropped } from "./faults.ts";
import { MAX_RESPONSE_BYTES } from "./send.ts";
import { sign, type Verdict, verify } from "./signature.ts";
import type { DeliveryRow } from "./store/deliveries.ts";
import { type EndpointRow, findEndpoint, signingSecrets } from "./store/endpoints.ts";

/** What every tag from v26.6.6 to v26.7.3 calls itself, so it does not show which of VERSIONS it is (seen). */
export const CONVOY_VERSION = "v26.6.6";
/** Redirects that are followed before a delivery fails: the limit of Go's HTTP client. */
const MAX_REDIRECTS = 10;

/** What a receiver was sent, and how its signature check would turn out. */
export type Sent = {
  url: string;
  headers: Record<string, string>;
  signature: { header: string; advanced: boolean } & Verdict;
  /** Kept in the inbox instead of being sent, because the host is not this machine. */
  kept: boolean;
};

/** What came back; if nothing did, `status` is 0, `error` is set and `responded_at` null. Times are RFC 3339. */
export type Answer = {
  status: number;
  statusText: string;
  headers: Record<string, string>;
  body: string;
  error: string | null;
  requested_at: string;
  responded_at: string | null;
};

/** Go's spelling of a header's name. */
function canonical(name: string): string {
  return name.toLowerCase().replace(/(^|-)[a-z]/g, (start) => start.toUpperCase());
}

/** The headers of a delivery with Convoy's names, sorted as Go sorts them (recorded). */
export function deliveryHeaders(
  row: Pick<DeliveryRow, "headers" | "idempotency_key">,
  { authentication }: Pick<EndpointRow, "authentication">,
  signature: string,
): Record<string, string> {
  const custom = withCredentials(JSON.parse(row.headers), authentication);
  const named = [
    ["Accept-Encoding", "gzip"],
    ["Content-Type", "application/json"],
    ["X-Convoy-Signature", signature],
    ...Object.entries(custom).map(([name, values]) => [canonical(name), values.join(", ")]),
  ];
  const key = headerSafe(row.idempotency_key);
  if (row.idempotency_key !== "") named.push(["X-Convoy-Idempotency-Key", key]);
  named.sort(([one = ""], [other = ""]) => (one < other ? -1 : 1));
  return { "User-Agent": `Convoy/${CONVOY_VERSION}`, ...Object.fromEntries(named) };
}

/** Header values are bytes: drops what Node would refuse. */
function headerSafe(value: string): string {
  return value.replace(/[^\t\x20-\x7e\x80-\xff]/g, "");
}

function sentTo(context: Context, row: DeliveryRow, endpoint: EndpointRow): Sent {
  const nowS = Math.floor(context.options.now() / 1000);
  const secrets = signingSecrets(context, endpoint);
  const advanced = endpoint.advanced_signatures === 1;
  const payload = row.data;
  const header = sign({ payload, secrets, advanced, timestampS: nowS });
  // The receiver has the newest secret, which the agent of 26.6 may not know yet; the check covers the bytes as sent.
  const known = findEndpoint(context, endpoint.uid) ?? endpoint;
  const secret = signingSecrets(context, known).at(-1) ?? "";
  const verdict = verify({ payload, header, secret, advanced, nowS });
  return {
    url: endpoint.url,
    headers: deliveryHeaders(row, endpoint, header),
    signature: { header, advanced, ...verdict },
    kept: !isLoopback(new URL(endpoint.url).hostname),
  };
}

async function textOf(response: Response): Promise<string> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  return new TextDecoder().decode(bytes.subarray(0, MAX_RESPONSE_BYTES));
}

/** Stands in for the answer of a receiver that is not on this machine. */
const kept = () =>
  new Response(new TextEncoder().encode("kept in the inbox: the host is not this machine"), {
    statusText: "OK",
  });

/** Sends, and follows redirects as Go does: 307 and 308 with method and body, others as a GET without body (seen). */
async function follow(context: Context, row: DeliveryRow, sent: Sent, signal: AbortSignal) {
  const { "Content-Type": _, ...bodyless } = sent.headers;
  let url = sent.url;
  let withBody = true;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const response = await context.options.deliver(url, {
      ...(withBody
        ? { method: "POST", headers: sent.headers, body: row.data }
        : { method: "GET", headers: bodyless }),
      redirect: "manual",
      signal,
    });
    if (![301, 302, 303, 307, 308].includes(response.status)) return response;
    const location = response.headers.get("Location");
    if (location === null) return response;
    await response.body?.cancel();
    const next = URL.parse(location, url);
    if (next?.protocol !== "http:" && next?.protocol !== "https:")
      throw new Error(`unsupported protocol scheme in the redirect to "${location}"`);
    if (response.status < 307) withBody = false;
    url = next.href;
    if (!isLoopback(next.hostname)) return kept();
  }
  throw new Error(`stopped after ${MAX_REDIRECTS} redirects`);
}

async function exchange(
  context: Context,
  row: DeliveryRow,
  sent: Sent,
  signal: AbortSignal,
): Promise<Omit<Answer, "requested_at" | "responded_at">> {
  if (row.strand === "retry") throw new ConnectionDropped();
  const outcome = await context.faults.pass("deliveries", signal);
  if (outcome.kind === "answer") {
    const { status, message, headers } = outcome;
    return { status, statusText: "", headers, body: message, error: null };
  }
  const response = sent.kept ? kept() : await follow(context, row, sent, signal);
  const headers = [...response.headers].map(([name, value]) => [canonical(name), value]);
  return {
    status: response.status,
    statusText: response.statusText,
    headers: Object.fromEntries(headers),
    body: await textOf(response),
    error: null,
  };
}

/** Rejects with the signal's reason once it is aborted. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

function reasonOf(error: unknown, timeoutS: number): string {
  if (error instanceof ConnectionDropped) return "the connection was closed without an answer";
  if (error instanceof Error && error.name === "TimeoutError")
    return `no answer within ${timeoutS} s (the endpoint's http_timeout)`;
  if (error instanceof Error) {
    const cause = error.cause instanceof Error ? `: ${error.cause.message}` : "";
    // An AggregateError (a host name with two addresses) has no message.
    const code = (error as NodeJS.ErrnoException).code;
    return `${error.message || code || error.name}${cause}`;
  }
  return String(error);
}

/** Makes one attempt. Never rejects because of the receiver; `stop` aborts it when the local Convoy closes. */
export async function attempt(
  context: Context,
  row: DeliveryRow,
  endpoint: EndpointRow,
  stop: AbortSignal,
): Promise<{ sent: Sent; answer: Answer }> {
  const sent = sentTo(context, row, endpoint);
  const requested_at = context.timestamp();
  const signal = AbortSignal.any([stop, AbortSignal.timeout(endpoint.http_timeout_s * 1000)]);
  try {
    // A race, so that the attempt ends even if `deliver` ignores the signal.
    const answer = await Promise.race([exchange(context, row, sent, signal), aborted(signal)]);
    return { sent, answer: { ...answer, requested_at, responded_at: context.timestamp() } };
  } catch (failed) {
    const nothing = { status: 0, statusText: "", headers: {}, body: "" };
    const error = reasonOf(failed, endpoint.http_timeout_s);
    return { sent, answer: { ...nothing, error, requested_at, responded_at: null } };
  }
}
