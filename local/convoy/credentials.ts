// What an endpoint authenticates deliveries with: which of it Convoy takes, shows and sends.
import { Refusal } from "./envelope.ts";

/** What Convoy shows in place of a password or a private key (recorded). */
const MASK = "[REDACTED]";

type Authentication = {
  type?: string;
  api_key?: { header_name?: string; header_value?: string };
  basic_auth?: { username?: string; password?: string };
};
type ClientCert = { client_cert?: string; client_key?: string };

const LICENSED: Record<string, string> = { basic_auth: "Basic Auth", oauth2: "OAuth2" };

/**
 * The `authentication` of a body, as JSON to store; {} if there is none. Without a licence only api_key is taken
 * (recorded). With one, a password is stored as it comes, the mask too (from Convoy's source).
 */
export function readAuthentication(given: Authentication | null | undefined, licensed: boolean) {
  const { type = "", api_key: key } = given ?? {};
  if (type === "") return "{}";
  if (type === "api_key") {
    if (!key) throw new Refusal(400, "api key field is required");
    if (!key.header_name || !key.header_value) throw new Refusal(400, "Invalid input provided");
    return JSON.stringify({ type, api_key: key });
  }
  const feature = LICENSED[type];
  if (!feature) throw new Refusal(400, "Invalid input provided");
  if (!licensed)
    throw new Refusal(400, `${feature} feature unavailable, please upgrade your license`);
  return JSON.stringify(given);
}

/** The `mtls_client_cert` after a body, as JSON: what it was if the body has none, null if it is empty (recorded). */
export function readClientCert(
  given: ClientCert | null | undefined,
  licensed: boolean,
  now: string | null,
): string | null {
  if (!given) return now;
  if (!given.client_cert && !given.client_key) return null;
  if (!licensed)
    throw new Refusal(400, "mutual TLS feature unavailable, please upgrade your license");
  if (!given.client_cert || !given.client_key)
    throw new Refusal(400, "mtls_client_cert requires both client_cert and client_key");
  if (!given.client_key.startsWith("-----BEGIN"))
    throw new Refusal(
      400,
      "invalid mTLS client certificate: tls: failed to find any PEM data in key input",
    );
  return JSON.stringify(given);
}

/** Authentication as the API shows it: a password is masked, an API key and oauth2 are not (recorded). */
export function shownAuthentication(stored: string): Authentication {
  const shown = JSON.parse(stored) as Authentication;
  if (shown.basic_auth?.password) shown.basic_auth.password = MASK;
  return shown;
}

/** The client certificate as the API shows it, which it does only if there is one. */
export function shownClientCert(stored: string | null): { mtls_client_cert?: ClientCert } {
  if (stored === null) return {};
  return { mtls_client_cert: { ...(JSON.parse(stored) as ClientCert), client_key: MASK } };
}

/**
 * An event's own headers with what the endpoint authenticates with, which wins whatever its case (recorded). Mutual TLS
 * and oauth2 are not played.
 */
export function withCredentials(own: Record<string, string[]>, stored: string) {
  const { api_key, basic_auth } = JSON.parse(stored) as Authentication;
  const added: Record<string, string[]> = {};
  if (api_key?.header_name) added[api_key.header_name] = [api_key.header_value ?? ""];
  if (basic_auth) {
    const pair = `${basic_auth.username ?? ""}:${basic_auth.password ?? ""}`;
    added.Authorization = [`Basic ${Buffer.from(pair).toString("base64")}`];
  }
  const names = new Set(Object.keys(added).map((name) => name.toLowerCase()));
  const kept = Object.entries(own).filter(([name]) => !names.has(name.toLowerCase()));
  return { ...added, ...Object.fromEntries(kept) };
}
