/** Compares D1's endpoint records with the local Convoy's endpoints. */
import type { ConvoyDouble } from "./convoy-double.ts";
import type { World } from "./world.ts";

type ConvoyEndpoint = { uid: string; name: string; url: string; status: string; owner_id: string };
type Row = { id: string; name: string; url: string; status: string };

/** Records active endpoints for an owner, as if they had been created. */
export function recordEndpoints<C extends ConvoyDouble>(
  world: World<C>,
  ids: string[],
  owner = "default",
): void {
  const insert = world.d1.sqlite.prepare(
    `INSERT INTO endpoint (id, owner, name, url, description, http_timeout_s, status, subscription_id,
       created_at, updated_at) VALUES (?, ?, 'e', 'https://e.test/', '', 10, 'active', 's', 0, 0)`,
  );
  for (const id of ids) insert.run(id, owner);
}

/** Every difference, one sentence each. Time must have passed (`recover`). */
export async function brokenEndpoints(world: World): Promise<string[]> {
  const endpoints = await list<ConvoyEndpoint>(world, "endpoints");
  const subscriptions = await list<{ endpoint_metadata?: { uid: string } }>(world, "subscriptions");
  const rows = world.rows<Row>("SELECT id, name, url, status FROM endpoint");
  const broken: string[] = [];
  for (const row of rows) {
    const there = endpoints.find(({ uid }) => uid === row.id);
    if (!there && row.status === "missing") continue;
    const same = there && row.name === there.name && row.url === there.url;
    if (!same || row.status !== there.status) {
      broken.push(`the record says ${JSON.stringify(row)}, Convoy ${JSON.stringify(there)}`);
    }
    const of = subscriptions.filter((each) => each.endpoint_metadata?.uid === row.id);
    if (there && of.length !== 1) broken.push(`${row.name} has ${of.length} subscriptions`);
  }
  for (const { uid, name } of endpoints) {
    if (!rows.some(({ id }) => id === uid))
      broken.push(`Convoy has ${name}, of which D1 knows nothing`);
  }
  return [...broken, ...answersThatDoNotHold(world, rows, endpoints)];
}

/** Where a pause or activation, once begun, did not finish on its own or lost something. */
export async function brokenMoves(world: World): Promise<string[]> {
  const endpoints = await list<ConvoyEndpoint>(world, "endpoints");
  const deliveries = await world.convoy.inbox<{ endpoint_id: string; status: string }>(
    "deliveries",
  );
  return endpoints.flatMap(({ uid, name, status }) => {
    const [row] = world.rows<Row>(`SELECT * FROM endpoint WHERE id = '${uid}'`);
    if (!row) return [];
    const of = deliveries.filter((each) => each.endpoint_id === uid);
    const lost = status === "active" && of.some((each) => each.status === "Discarded");
    return [
      ...(row.status === status ? [] : [`${name} is ${status}, the record says ${row.status}`]),
      ...(lost ? [`${name} is active, and what was discarded did not come back`] : []),
      ...unkept(world, uid, status),
    ];
  });
}

/** Where Convoy's status is not what the last successful pause or activation asked for. */
function unkept(world: World, uid: string, status: string): string[] {
  const last = world.calls.findLast(
    (call) => call.status === 200 && /\/endpoint\/[^/]+\/(pause|activate)$/.test(call.url),
  );
  const after = last && world.calls.slice(world.calls.indexOf(last) + 1);
  if (!last || after?.some(({ url }) => /\/(pause|activate)$/.test(url))) return [];
  const wanted = last.url.endsWith("/pause") ? "paused" : "active";
  return status === wanted ? [] : [`${uid} was to be ${wanted}, and is ${status}`];
}

function answersThatDoNotHold(world: World, rows: Row[], endpoints: ConvoyEndpoint[]): string[] {
  return world.calls.flatMap(({ method, url, status, answer }) => {
    if (status === null || status >= 300) return [];
    if (method === "POST" && url === "/endpoint") {
      const id = answer?.["Endpoint ID"];
      const removed = world.calls.some((c) => c.method === "DELETE" && c.url === `/endpoint/${id}`);
      const there = rows.some((row) => row.id === id && row.status !== "missing");
      return there || removed ? [] : [`the endpoint ${id} was promised`];
    }
    if (method === "DELETE" && url.startsWith("/endpoint/")) {
      const id = url.split("/").at(-1);
      const left = rows.some((row) => row.id === id) || endpoints.some(({ uid }) => uid === id);
      return left ? [`the endpoint ${id} was said to be removed`] : [];
    }
    return [];
  });
}

async function list<T>(world: World, what: string): Promise<T[]> {
  const page = await world.convoy.api<{ content: T[] | null }>("GET", `/${what}?perPage=100`);
  return page.content ?? [];
}
