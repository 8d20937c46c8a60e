// Endpoints and their secrets.
import { randomBytes } from "node:crypto";
import type { Context } from "../context.ts";
import { Refusal } from "../envelope.ts";

/** An endpoint's http_timeout, whatever is requested: another one needs a licence (recorded: 1 comes back as 10). */
const HTTP_TIMEOUT_S = 10;
/** Length of a secret that Convoy generates (recorded). */
const SECRET_CHARACTERS = 25;
/** Unit of `expiration` in expire_secret: how long the old secret still signs. */
const SECRET_OVERLAP_UNIT_MS = 3_600_000;
/** The unit in which the same call *reports* expires_at: seconds, a quirk of the real one (recorded). */
const SECRET_REPORTED_UNIT_MS = 1_000;

/** An endpoint's secret. It signs until `signs_until` (Unix ms; null: forever), whatever `expires_at` says. */
export type Secret = {
  uid: string;
  value: string;
  expires_at: string | null;
  created_at: string;
  updated_at: string;
  deleted_at: string | null;
  signs_until: number | null;
};

export type EndpointFields = {
  owner_id: string;
  name: string;
  url: string;
  description: string;
  /** 0 or 1. */
  advanced_signatures: number;
  rate_limit: number;
  rate_limit_duration_s: number;
  /** JSON of an object; {} if there is none. */
  authentication: string;
  /** JSON of an object; null if there is none. */
  mtls_client_cert: string | null;
};

/** A row of the table; `secrets` is JSON of Secret[]. */
export type EndpointRow = EndpointFields & {
  uid: string;
  http_timeout_s: number;
  status: "active" | "paused" | "inactive";
  secrets: string;
  created_at: string;
  updated_at: string;
  deleted_at: string | null;
};

function newSecret(context: Context, value: string): Secret {
  const at = context.timestamp();
  const made = value || randomBytes(32).toString("base64url").slice(0, SECRET_CHARACTERS);
  const never = { expires_at: null, deleted_at: null, signs_until: null };
  return { uid: context.id(), value: made, created_at: at, updated_at: at, ...never };
}

/** The endpoint, or undefined; a deleted one is not found. */
export function findEndpoint(context: Context, uid: string): EndpointRow | undefined {
  const row = context.db.find<EndpointRow>("endpoint", uid);
  return row?.deleted_at === null ? row : undefined;
}

/** The endpoint; refuses as Convoy does. */
export function requireEndpoint(
  context: Context,
  uid: string,
  { status, message } = { status: 404, message: "Resource not found" },
): EndpointRow {
  const row = findEndpoint(context, uid);
  if (!row) throw new Refusal(status, message);
  return row;
}

/** Creates an endpoint with its first secret, which is made if it is empty. */
export function createEndpoint(context: Context, fields: EndpointFields, secret: string) {
  const at = context.timestamp();
  const row: EndpointRow = {
    uid: context.id(),
    ...fields,
    http_timeout_s: HTTP_TIMEOUT_S,
    status: "active",
    secrets: JSON.stringify([newSecret(context, secret)]),
    created_at: at,
    updated_at: at,
    deleted_at: null,
  };
  context.db.insert("endpoint", row);
  return row;
}

/** Changes columns and returns the endpoint; `updated_at` is one of them (a change of status keeps it: recorded). */
export function changeEndpoint(context: Context, uid: string, columns: Partial<EndpointRow>) {
  if (Object.keys(columns).length > 0) context.db.update("endpoint", uid, columns);
  return requireEndpoint(context, uid);
}

/**
 * Adds a secret and lets the old one sign for `expiration` more hours. The old one's `expires_at` is reported that many
 * *seconds* ahead: a quirk of the real one (recorded: it still signed long after).
 */
export function rotateSecret(context: Context, uid: string, value: string, expiration: number) {
  const row = requireEndpoint(context, uid);
  const secrets = JSON.parse(row.secrets) as Secret[];
  const now = context.options.now();
  const active = secrets.find((secret) => secret.expires_at === null);
  if (active) {
    active.expires_at = new Date(now + expiration * SECRET_REPORTED_UNIT_MS).toISOString();
    active.signs_until = now + expiration * SECRET_OVERLAP_UNIT_MS;
  }
  secrets.push(newSecret(context, value));
  const changed = { secrets: JSON.stringify(secrets), updated_at: context.timestamp() };
  // The answer still carries the old updated_at (recorded).
  return { ...changeEndpoint(context, uid, changed), updated_at: row.updated_at };
}

/** The secrets that sign now, oldest first. */
export function signingSecrets(context: Context, row: EndpointRow): string[] {
  const now = context.options.now();
  return (JSON.parse(row.secrets) as Secret[])
    .filter((secret) => secret.signs_until === null || secret.signs_until > now)
    .map((secret) => secret.value);
}

/** Brings a deleted endpoint back with its subscriptions, as a backup does; false if there is none. */
export function restoreEndpoint(context: Context, uid: string): boolean {
  const row = context.db.find<EndpointRow>("endpoint", uid);
  if (!row?.deleted_at) return false;
  context.db.transaction(() => {
    context.db.update("endpoint", uid, { deleted_at: null });
    context.db.run(
      "UPDATE subscription SET deleted_at = NULL WHERE endpoint_id = ? AND deleted_at = ?",
      uid,
      row.deleted_at,
    );
  });
  return true;
}

/** Deletes the endpoint and its subscriptions; refuses with 400 if there is none (recorded). */
export function deleteEndpoint(context: Context, uid: string): void {
  requireEndpoint(context, uid, { status: 400, message: "endpoint not found" });
  const at = context.timestamp();
  context.db.transaction(() => {
    context.db.update("endpoint", uid, { deleted_at: at });
    context.db.run(
      "UPDATE subscription SET deleted_at = ? WHERE endpoint_id = ? AND deleted_at IS NULL",
      at,
      uid,
    );
  });
}
