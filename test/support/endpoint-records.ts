/** D1's endpoint records against what the local Convoy has. */
import type { World } from "./world.ts";

type ConvoyEndpoint = { uid: string; name: string; url: string; status: string; owner_id: string };
type Row = { id: string; name: string; url: string; status: string };

/** All that differs, each in a sentence. Time must have passed (`recover`). */
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
  const url = `http://convoy.test/api/v1/projects/local/${what}?perPage=100`;
  const headers = { Authorization: "Bearer local" };
  const response = await world.stores.convoy.fetch(new Request(url, { headers }));
  return ((await response.json()) as { data: { content: T[] | null } }).data.content ?? [];
}
