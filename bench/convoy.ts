/**
 * A Convoy that answers at once, in its own process: it accepts events and lists their deliveries as done. It sends
 * its port to the parent process, which may send it `{hang: boolean}`: hung requests are answered once
 * hanging ends.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { listen } from "../local/listen.ts";

/** A message from the parent process. */
export type ConvoyOrder = { hang: boolean };

type Taken = { uid: string; idempotency_key: string; endpoint_id: string; created_at: string };

const taken: Taken[] = [];
const hung: (() => void)[] = [];
let hanging = false;

const server = createServer(async (request, response) => {
  const body = await text(request);
  const answer = () => send(request, response, body);
  if (hanging) hung.push(answer);
  else answer();
});
server.keepAliveTimeout = 60_000;
void listen(server, 0).then((port) => process.send?.(port));

process.on("message", ({ hang }: ConvoyOrder) => {
  hanging = hang;
  if (!hang) for (const answer of hung.splice(0)) answer();
});
process.on("disconnect", () => process.exit());

function send(request: IncomingMessage, response: ServerResponse, body: string): void {
  const url = new URL(request.url ?? "", "http://convoy");
  const post = request.method === "POST";
  if (post) {
    const { idempotency_key, endpoint_id } = JSON.parse(body);
    const uid = String(taken.length).padStart(12, "0");
    taken.push({ uid, idempotency_key, endpoint_id, created_at: new Date().toISOString() });
  }
  const isList = /\/eventdeliveries$/.test(url.pathname);
  const data = post ? null : page(isList ? taken : [], url.searchParams);
  const answer = JSON.stringify({ status: true, message: "ok", data });
  response.writeHead(post ? 201 : 200, { "Content-Type": "application/json" }).end(answer);
}

/** Pages as Convoy does: ordered by uid, each page starting with the item the cursor names. */
function page(all: Taken[], query: URLSearchParams) {
  const key = query.get("idempotencyKey");
  const from = query.get("startDate") ?? "";
  const to = query.get("endDate") ?? "9";
  const items = all.filter(({ idempotency_key, created_at }) => {
    const second = created_at.slice(0, 19);
    return key === null ? second >= from && second <= to : idempotency_key === key;
  });
  if (query.get("sort") !== "ASC") items.reverse();
  const cursor = query.get("next_page_cursor");
  const start = cursor ? items.findIndex(({ uid }) => uid === cursor) : 0;
  const end = start + Number(query.get("perPage") ?? 20);
  const content = items.slice(start, end).map((item) => ({
    ...item,
    project_id: "bench",
    updated_at: item.created_at,
    status: "Success",
  }));
  const next = items[end];
  // The uid is for those who ask for the project.
  return {
    uid: "bench",
    content,
    pagination: { has_next_page: !!next, next_page_cursor: next?.uid ?? "" },
  };
}
