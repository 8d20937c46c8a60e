// Sends recorded calls to a local Convoy, in order, on its own clock, and reports what differs.
import { createConvoy } from "../../local/convoy/index.ts";
import { differences, Ids } from "./compare.ts";
import { type RecordedCall, spacedJson } from "./recorded.ts";

/** What is special about a call: things that were not recorded, or ids of its own. */
export type Special = {
  body?: unknown;
  key?: string;
  projectId?: string;
  ids?: Ids;
  /** The path that was really called, if the recording has another one. */
  path?: string;
  /** Its rows were made at the same moment by several workers, so that their order is a race. */
  unordered?: boolean;
  /** Rows with these keys cannot be here; their lists are compared without them. */
  absent?: ReadonlySet<string>;
};

type Row = { uid: string; idempotency_key?: string; is_duplicate_event?: boolean };

/** A list sorted by key; of its cursors only whether they point to the first and to the last row. */
function withoutOrder(body: unknown, absent: ReadonlySet<string> = new Set()): unknown {
  const { data, ...envelope } = body as {
    data: { content: Row[]; pagination: Record<string, unknown> };
  };
  const { prev_page_cursor, next_page_cursor, ...pagination } = data.pagination;
  const rank = (row: Row) => `${row.idempotency_key} ${row.is_duplicate_event === true}`;
  const present = data.content.filter((row) => !absent.has(row.idempotency_key ?? ""));
  const content = present.sort((one, other) =>
    rank(one) < rank(other) ? -1 : rank(one) > rank(other) ? 1 : 0,
  );
  const first = prev_page_cursor === data.content[0]?.uid;
  const last = next_page_cursor === data.content.at(-1)?.uid;
  return { ...envelope, data: { content, pagination: { ...pagination, first, last } } };
}

/** A call, and how its answer differs from the recorded one. */
export type Outcome = { call: RecordedCall; at: number; differences: string[] };

/** The receiver of the recordings: /fail answers 500, everything else 200. */
const receiver: typeof fetch = async (input) => {
  const failing = new URL(String(input)).pathname === "/fail";
  // Bytes, so that no Content-Type is added.
  return new Response(new TextEncoder().encode("ok"), {
    status: failing ? 500 : 200,
    headers: {
      "Content-Length": "2",
      Date: "Tue, 24 Nov 2026 11:26:59 GMT",
      Server: "BaseHTTP/0.6 Python/3.11.7",
    },
  });
};

/** A local Convoy that processes only on demand, to match the recording's timing. `clock.now` is Unix ms. */
export function startReplay(projectId: string, startsAt: string) {
  const clock = { now: Date.parse(startsAt) };
  const convoy = createConvoy({ projectId, deliver: receiver, now: () => clock.now });
  const mainIds = new Ids();

  const request = (path: string, init: RequestInit & { key?: string } = {}) =>
    convoy.fetch(
      new Request(`http://replay.convoy.test${path}`, {
        ...init,
        headers: { Authorization: `Bearer ${init.key ?? "local"}`, ...init.headers },
      }),
    );

  const put = (body: object) =>
    request("/inbox/faults", { method: "PUT", body: JSON.stringify(body) });
  let wanted = {};
  const faults = (body: object) => {
    wanted = body;
    return put({ ...wanted, stall: true });
  };
  const stalled = faults({});
  /** Processes what was accepted. */
  const process = async () => {
    await put(wanted);
    await convoy.idle();
    await faults(wanted);
  };

  /** Sends the body to a path of the API, without comparing. */
  const send = async (method: string, path: string, body?: unknown): Promise<Response> => {
    await stalled;
    const response = await request(`/api/v1/projects/${projectId}${path}`, {
      method,
      body: body === undefined ? null : spacedJson(body),
    });
    clock.now += 5;
    return response;
  };

  /** Sends a recorded call and compares status, headers and body; `body` replaces what was not recorded. */
  const replay = async (
    call: RecordedCall,
    at: number,
    special: Special = {},
  ): Promise<Outcome> => {
    await stalled;
    const ids = special.ids ?? mainIds;
    const { method, headers } = call.request;
    const path = special.path ?? call.request.path;
    const body = special.body ?? call.request.body ?? null;
    const text = body === null ? null : typeof body === "string" ? body : spacedJson(body);
    const project = special.projectId ?? projectId;
    const response = await request(ids.translate(path.replace("{projectID}", project)), {
      method,
      headers: headers ?? {},
      body: text === null ? null : ids.translate(text),
      ...(special.key === undefined ? {} : { key: special.key }),
    });
    const shape = (body: unknown) =>
      special.unordered ? withoutOrder(body, special.absent) : body;
    const found = differences(ids, shape(call.response.body), shape(await response.json()));
    if (response.status !== call.response.status)
      found.unshift(`status: recorded ${call.response.status}, here ${response.status}`);
    for (const name of ["Content-Type", "X-Convoy-Version"]) {
      const recorded = call.response.headers?.[name] ?? (call.response.headers ? null : undefined);
      const here = response.headers.get(name);
      if (recorded !== undefined && recorded !== here)
        found.push(`header ${name}: recorded ${recorded}, here ${here}`);
    }
    clock.now += 5;
    return { call, at, differences: found };
  };

  /** Sends a delivery again, from the inbox. */
  const replayed = (uid: string) => request(`/inbox/deliveries/${uid}/replay`, { method: "POST" });

  return { clock, convoy, process, send, replay, replayed, faults };
}

/** What a run prints: how many calls matched, and how many of them without regard to the order of their rows. */
export function report(name: string, outcomes: Outcome[], unordered: number): string {
  const matched = outcomes.filter((one) => one.differences.length === 0).length;
  const note = unordered > 0 ? ` (${unordered} of them whatever the order of rows that raced)` : "";
  return `${name}: ${matched} of ${outcomes.length} recorded calls matched${note}`;
}

/** The calls that differ, each with its differences: what a failing run shows. */
export function differing(outcomes: Outcome[]): string[] {
  return outcomes
    .filter((one) => one.differences.length > 0)
    .map((one) => `${one.at} ${one.call.note.slice(0, 60)}: ${one.differences.join(" | ")}`);
}
