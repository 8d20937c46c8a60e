/**
 * The values of every resource in KV, which all reads are served from. The key of each is
 * `{name}:{base64url(owner)}:{toKey(id)}`, its metadata `{seq, [name]: value}`, without the value if it does not fit.
 */
import { decodeBase64Url, encodeBase64Url } from "hono/utils/encode";
import { BadCursor, onKv } from "../storage.ts";
import type { AnyResource, ResourceOf } from "./resource.ts";

/** Most keys of one bulk read. */
export const KV_BULK_KEYS = 100;
/** Most bytes of a key's metadata, as JSON. */
const METADATA_MAX_BYTES = 1_024;

/** Which page: its size, and the cursor of the one before it. */
export type StorePage = { limit: number; cursor?: string | undefined };

/** A value in KV, of any owner; `data` is null if it is too large for metadata: readLarge reads those. */
export type Stored = { key: string; owner: string; id: string; seq: number; data: object | null };

type Metadata = { seq: number } & Record<string, unknown>;

const utf8 = new TextEncoder();

function ownerPrefix({ name }: AnyResource, owner: string): string {
  return `${name}:${encodeBase64Url(utf8.encode(owner).buffer)}:`;
}

/** The key of a value: no two owners or resources share one, and keys sort like ids. At most 506 of KV's 512 bytes. */
export function valueKey(resource: AnyResource, owner: string, id: string): string {
  return ownerPrefix(resource, owner) + resource.id.toKey(id);
}

/** The value's JSON, or null. May be up to a minute old. */
export function readValue(
  kv: KVNamespace,
  resource: AnyResource,
  owner: string,
  id: string,
): Promise<string | null> {
  return onKv(() => kv.get(valueKey(resource, owner, id)));
}

/** Stores the value's JSON as version `seq`, or removes it if `data` is null. */
export function writeValue(
  kv: KVNamespace,
  resource: AnyResource,
  owner: string,
  id: string,
  { seq, data }: { seq: number; data: string | null },
): Promise<void> {
  const key = valueKey(resource, owner, id);
  if (data === null) return onKv(() => kv.delete(key));
  const whole: Metadata = { seq, [resource.name]: JSON.parse(data) as unknown };
  const fits = utf8.encode(JSON.stringify(whole)).length <= METADATA_MAX_BYTES;
  return onKv(() => kv.put(key, data, { metadata: fits ? whole : { seq } }));
}

/**
 * One page of an owner's values in id order: one KV operation, plus one per 100 values too large for metadata.
 * @throws BadCursor if KV refuses the cursor
 */
export async function listValues<Value>(
  kv: KVNamespace,
  resource: ResourceOf<Value>,
  owner: string,
  page: StorePage,
): Promise<{ data: Value[]; cursor?: string }> {
  const { name } = resource;
  const prefix = ownerPrefix(resource, owner);
  const listed = await list(kv, prefix, page);
  // The cursor comes from the caller: whatever KV makes of it, only the owner's values may be returned.
  const own = listed.keys.filter((key) => key.name.startsWith(prefix));
  const large = own.filter(({ metadata }) => !metadata?.[name]);
  const fetched = await readLarge(
    kv,
    large.map((key) => key.name),
  );
  const data = own.flatMap((key) => {
    const value = key.metadata?.[name] ?? fetched.get(key.name);
    return value ? [value as Value] : [];
  });
  return { data, ...(listed.list_complete ? {} : { cursor: listed.cursor }) };
}

/** The version of each key's value in KV, at most KV_BULK_KEYS; null if there is none. */
export async function readVersions(
  kv: KVNamespace,
  keys: string[],
): Promise<Map<string, number | null>> {
  const found = await onKv(() => kv.getWithMetadata<Metadata>(keys));
  // A bulk read returns null for a missing key, whatever its type says.
  const entries: [string, { metadata: Metadata | null } | null][] = [...found];
  return new Map(entries.map(([key, entry]) => [key, entry?.metadata?.seq ?? null]));
}

/**
 * One page of all owners' values of a resource: one KV operation.
 * @throws BadCursor if KV refuses the cursor
 */
export async function listAll(
  kv: KVNamespace,
  resource: AnyResource,
  page: StorePage,
): Promise<{ values: Stored[]; cursor: string | null }> {
  const listed = await list(kv, `${resource.name}:`, page);
  const values = listed.keys.flatMap(({ name: key, metadata }) => {
    const [name, owner, id] = key.split(":");
    // Not one of ours.
    if (!metadata || name !== resource.name || owner === undefined || id === undefined) return [];
    const { seq, [resource.name]: data = null } = metadata;
    const decoded = new TextDecoder().decode(decodeBase64Url(owner));
    return [{ key, owner: decoded, id: resource.id.fromKey(id), seq, data: data as object | null }];
  });
  return { values, cursor: listed.list_complete ? null : listed.cursor };
}

/** Values by key, one operation per 100; missing ones are left out. */
export async function readLarge(kv: KVNamespace, keys: string[]): Promise<Map<string, object>> {
  const found = new Map<string, object>();
  for (let start = 0; start < keys.length; start += KV_BULK_KEYS) {
    const batch = keys.slice(start, start + KV_BULK_KEYS);
    for (const [key, value] of await onKv(() => kv.get<object>(batch, "json"))) {
      if (value) found.set(key, value); // null: removed between list and read
    }
  }
  return found;
}

async function list(kv: KVNamespace, prefix: string, { limit, cursor }: StorePage) {
  try {
    return await kv.list<Metadata>({ prefix, limit, ...(cursor ? { cursor } : {}) });
  } catch (cause) {
    if (cursor && /cursor|\b400\b/i.test(String(cause))) throw new BadCursor();
    return onKv(() => Promise.reject(cause));
  }
}
