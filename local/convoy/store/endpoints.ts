// Endpoints and their secrets.
import { randomBytes } from "node:crypto";
import {
  HTTP_TIMEOUT_S,
  SECRET_CHARACTERS,
  SECRET_OVERLAP_UNIT_MS,
  SECRET_REPORTED_UNIT_MS,
} from "../../config.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../envelope.ts";

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

/** A row of the table; flags are 0 or 1, `secrets` is JSON of Secret[]. */
export type EndpointRow = {
  uid: string;
  owner_id: string;
  name: string;
  url: string;
  description: string;
  http_timeout_s: number;
  status: "active" | "paused" | "inactive";
  advanced_signatures: number;
  rate_limit: number;
  rate_limit_duration_s: number;
  secrets: string;
  created_at: string;
  updated_at: string;
  deleted_at: string | null;
  /** JSON of an object; {} if there is none. */
  authentication: string;
  /** JSON of an object; null if there is none. */
  mtls_client_cert: string | null;
};

/** The fields of a new endpoint; times are seconds, `authentication` is JSON of an object. */
export type EndpointFields = {
  owner_id: string;
  name: string;
  url: string;
  description: string;
  advanced_signatures: boolean;
  rate_limit: number;
  rate_limit_duration_s: number;
  authentication: string;
  mtls_client_cert: string | null;
  secret: string;
};

function newSecret(context: Context, value: string): Secret {
  const at = context.timestamp();
  const made =
    value || randomBytes(SECRET_CHARACTERS).toString("base64url").slice(0, SECRET_CHARACTERS);
  return {
    uid: context.id(),
    value: made,
    expires_at: null,
    created_at: at,
    updated_at: at,
    deleted_at: null,
    signs_until: null,
  };
}

/** The endpoint, or undefined; deleted ones only if `deletedToo`. */
export function findEndpoint(context: Context, uid: string, deletedToo = false) {
  const row = context.db.get<EndpointRow>("SELECT * FROM endpoint WHERE uid = ?", uid);
  return row && (deletedToo || row.deleted_at === null) ? row : undefined;
}

/** The endpoint; refuses with 404, as Convoy does. */
export function requireEndpoint(context: Context, uid: string): EndpointRow {
  const row = findEndpoint(context, uid);
  if (!row) throw new Refusal(404, "Resource not found");
  return row;
}

/** Creates an endpoint with its first secret. */
export function createEndpoint(context: Context, fields: EndpointFields): EndpointRow {
  const uid = context.id();
  const secrets = JSON.stringify([newSecret(context, fields.secret)]);
  const at = context.timestamp();
  context.db.run(
    `INSERT INTO endpoint (uid, owner_id, name, url, description, http_timeout_s, status, advanced_signatures,
       rate_limit, rate_limit_duration_s, secrets, created_at, updated_at, authentication, mtls_client_cert)
     VALUES (?, ?, ?, ?, ?, ?, 'active', ?, ?, ?, ?, ?, ?, ?, ?)`,
    uid,
    fields.owner_id,
    fields.name,
    fields.url,
    fields.description,
    HTTP_TIMEOUT_S,
    Number(fields.advanced_signatures),
    fields.rate_limit,
    fields.rate_limit_duration_s,
    secrets,
    at,
    at,
    fields.authentication,
    fields.mtls_client_cert,
  );
  return requireEndpoint(context, uid);
}

/** Replaces an endpoint's fields; undefined ones stay as they are. */
export function updateEndpoint(
  context: Context,
  uid: string,
  fields: Omit<EndpointFields, "secret" | "owner_id" | "advanced_signatures"> & {
    owner_id: string | undefined;
    advanced_signatures: boolean | undefined;
  },
): EndpointRow {
  const now = requireEndpoint(context, uid);
  context.db.run(
    `UPDATE endpoint SET owner_id = ?, name = ?, url = ?, description = ?, advanced_signatures = ?,
       rate_limit = ?, rate_limit_duration_s = ?, authentication = ?, mtls_client_cert = ?, updated_at = ?
     WHERE uid = ?`,
    fields.owner_id ?? now.owner_id,
    fields.name,
    fields.url,
    fields.description,
    Number(fields.advanced_signatures ?? now.advanced_signatures),
    fields.rate_limit,
    fields.rate_limit_duration_s,
    fields.authentication,
    fields.mtls_client_cert,
    context.timestamp(),
    uid,
  );
  return requireEndpoint(context, uid);
}

/** Sets credentials as a licensed dashboard would; undefined ones stay as they are. */
export function setCredentials(
  context: Context,
  uid: string,
  { authentication, mtls_client_cert }: Record<"authentication" | "mtls_client_cert", unknown>,
): void {
  context.db.run(
    `UPDATE endpoint SET authentication = coalesce(?, authentication), mtls_client_cert = coalesce(?, mtls_client_cert)
     WHERE uid = ?`,
    authentication === undefined ? null : JSON.stringify(authentication),
    mtls_client_cert === undefined ? null : JSON.stringify(mtls_client_cert),
    uid,
  );
}

/** Sets the status and returns the endpoint; `updated_at` does not change (recorded). */
export function setEndpointStatus(
  context: Context,
  uid: string,
  status: EndpointRow["status"],
): EndpointRow {
  context.db.run("UPDATE endpoint SET status = ? WHERE uid = ?", status, uid);
  return requireEndpoint(context, uid);
}

/**
 * Adds a secret and lets the old one sign for `expiration` more hours. The old one's `expires_at` is reported that many
 * *seconds* ahead: a quirk of the real one (recorded: it still signed long after).
 */
export function rotateSecret(
  context: Context,
  uid: string,
  value: string,
  expiration: number,
): EndpointRow {
  const row = requireEndpoint(context, uid);
  const secrets = JSON.parse(row.secrets) as Secret[];
  const now = context.options.now();
  const active = secrets.find((secret) => secret.expires_at === null);
  if (active) {
    active.expires_at = new Date(now + expiration * SECRET_REPORTED_UNIT_MS).toISOString();
    active.signs_until = now + expiration * SECRET_OVERLAP_UNIT_MS;
  }
  secrets.push(newSecret(context, value));
  context.db.run(
    "UPDATE endpoint SET secrets = ?, updated_at = ? WHERE uid = ?",
    JSON.stringify(secrets),
    context.timestamp(),
    uid,
  );
  // The answer still carries the old updated_at (recorded).
  return { ...requireEndpoint(context, uid), updated_at: row.updated_at };
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
  const row = findEndpoint(context, uid, true);
  if (!row?.deleted_at) return false;
  context.db.transaction(() => {
    context.db.run("UPDATE endpoint SET deleted_at = NULL WHERE uid = ?", uid);
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
  if (!findEndpoint(context, uid)) throw new Refusal(400, "endpoint not found");
  const at = context.timestamp();
  context.db.transaction(() => {
    context.db.run("UPDATE endpoint SET deleted_at = ? WHERE uid = ?", at, uid);
    context.db.run(
      "UPDATE subscription SET deleted_at = ? WHERE endpoint_id = ? AND deleted_at IS NULL",
      at,
      uid,
    );
  });
}
