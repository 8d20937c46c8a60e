// What the recordings do not cover of the API: bad input, paging backwards, windows, raw data.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { compactJson, rawMember } from "../../local/convoy/json.ts";
import { type Client, type Paged, receiver, start } from "./client.ts";

let client: Client;
beforeEach(() => {
  client = start({ deliver: receiver().deliver });
});
afterEach(() => client.convoy.close());

describe("bad input is a 400, never a 5xx, and leaves nothing behind", () => {
  const bodies = [
    "",
    "null",
    "[]",
    "5",
    '"text"',
    "{",
    '{"name":5,"url":5,"endpoint_id":5,"owner_id":5,"event_type":5,"data":5}',
    '{"name":"e","url":"http://[","endpoint_id":"e","event_type":"t"}',
    '{"name":"e","url":"ftp://example.com"}',
    '{"name":"e","url":"http://h","http_timeout":1.5}',
    '{"name":"e","url":"http://h","http_timeout":"10s"}',
    '{"name":"s","endpoint_id":"e","filter_config":[]}',
    '{"event_type":"t","data":{},"endpoint_id":"e","custom_headers":{"a b":"c"}}',
    '{"event_type":"t","data":{},"owner_id":"o","custom_headers":{"a":"b\\r\\nc: d"}}',
    '{"event_type":"t","data":{},"owner_id":"o","custom_headers":{"a":1}}',
    '{"event_type":"t","data":{},"owner_id":"o","idempotency_key":7}',
    '{"ids":"x"}',
    '{"ids":[1]}',
  ];
  const posts = ["/endpoints", "/subscriptions", "/events", "/event-types"];

  test.each(posts)("POST %s", async (path) => {
    const error = vi.spyOn(console, "error");
    for (const body of bodies) {
      const { status } = await client.call("POST", path, body);
      const fine = path === "/event-types" && body.includes('"name":"');
      expect([body, status]).toEqual([body, fine ? (status === 201 ? 201 : 400) : 400]);
    }
    expect(error).not.toHaveBeenCalled();
    expect(await client.events()).toEqual([]);
    const { data } = await client.call<Paged<unknown>>("GET", "/endpoints");
    expect(data.content).toEqual([]);
  });

  test.each([
    "/events?endDate=yesterday",
    "/events?startDate=2026-13-45T00:00:00",
    "/eventdeliveries?startDate=2026-11-24T11:35:21Z",
    "/events?startDate=2026-11-25T00:00:00&endDate=2026-11-24T00:00:00",
  ])("GET %s", async (path) => {
    expect((await client.call("GET", path)).status).toBe(400);
  });

  test("a wrong key is a 401, whatever else is wrong", async () => {
    for (const Authorization of ["Bearer wrong", "local", ""]) {
      const answer = await client.call("POST", "/events", "{", { Authorization });
      expect([answer.status, answer.message]).toEqual([401, "authorization failed"]);
    }
  });
});

describe("pages", () => {
  const names = async (query: string) => {
    const { data } = await client.call<Paged<{ name: string }>>("GET", `/endpoints?${query}`);
    const pagination = data.pagination as Record<"next_page_cursor" | "prev_page_cursor", string>;
    return { names: data.content.map((one) => one.name), ...pagination };
  };

  test("go forwards from the cursor's own row, and back to the previous page", async () => {
    for (const name of ["1", "2", "3", "4", "5"]) await client.endpoint({ name });
    const first = await names("perPage=2");
    expect(first).toMatchObject({ names: ["5", "4"], has_next_page: true, has_prev_page: false });
    const second = await names(
      `perPage=2&direction=next&next_page_cursor=${first.next_page_cursor}`,
    );
    expect(second).toMatchObject({ names: ["3", "2"], has_next_page: true, has_prev_page: true });
    const third = await names(
      `perPage=2&direction=next&next_page_cursor=${second.next_page_cursor}`,
    );
    expect(third).toMatchObject({ names: ["1"], has_next_page: false, has_prev_page: true });
    const back = await names(
      `perPage=2&direction=prev&prev_page_cursor=${second.prev_page_cursor}`,
    );
    expect(back.names).toEqual(["5", "4"]);
  });

  test("a window covers what was processed from its start to its end, to the second, in UTC", async () => {
    await client.convoy.close();
    const clock = { now: 0 };
    client = start({ deliver: receiver().deliver, now: () => clock.now });
    const id = await client.endpoint();
    for (const at of [
      "11:59:59.999",
      "12:00:00.000",
      "12:00:59.500",
      "12:01:00.000",
      "12:01:00.001",
    ]) {
      clock.now = Date.parse(`2026-11-24T${at}Z`);
      await client.event(id, at);
      await client.convoy.idle();
    }
    const { data } = await client.call<Paged<{ idempotency_key: string }>>(
      "GET",
      "/events?startDate=2026-11-24T12:00:00&endDate=2026-11-24T12:01:00",
    );
    expect(data.content.map((one) => one.idempotency_key)).toEqual([
      "12:01:00.000",
      "12:00:59.500",
      "12:00:00.000",
    ]);
  });
});

describe("raw JSON", () => {
  test.each([
    ['{"data":{"b":1, "a" : 2}}', '{"b":1, "a" : 2}'],
    ['{ "x" : "\\"data\\":1" , "data" : [ 1 , {"data":2} ] , "y":0 }', '[ 1 , {"data":2} ]'],
    ['{"data":1.0}', "1.0"],
    ['{"data":12345678901234567890 }', "12345678901234567890"],
    ['{"data":"a\\\\\\"}"}', '"a\\\\\\"}"'],
    ['{"data":null,"z":1}', "null"],
    ['{"data":1,"data":2}', "2"],
    ['{"d\\u0061ta":true}', "true"],
    ['{"other":1}', undefined],
    ["{}", undefined],
    ['{"a":{"data":1}}', undefined],
  ])("the member data of %s is %s", (raw, expected) => {
    expect(rawMember(raw, "data")).toBe(expected);
  });

  test("compacting removes spaces outside strings and nothing else", () => {
    expect(compactJson('{ "a b" :\t[ 1.0 ,\r\n "\\" x \\\\" , { } ] }')).toBe(
      '{"a b":[1.0,"\\" x \\\\",{}]}',
    );
    // A megabyte of escapes must not be too much for the regular expression.
    const long = JSON.stringify('"\\'.repeat(200_000));
    expect(compactJson(` ${long} `)).toBe(long);
  });

  test("an event is listed with its data byte for byte", async () => {
    const id = await client.endpoint();
    await client.call(
      "POST",
      "/events",
      `{"endpoint_id":"${id}","event_type":"t","data":{"n":1.0, "big":12345678901234567890}}`,
    );
    await client.convoy.idle();
    const response = await client.request("/api/v1/projects/local/events", {
      headers: { Authorization: "Bearer local" },
    });
    expect(await response.text()).toContain('"data":{"n":1.0, "big":12345678901234567890}');
  });
});

test("an event type can be changed; an empty field keeps its value", async () => {
  const made = await client.call<{ uid: string }>("POST", "/event-types", {
    name: "created",
    description: "d",
  });
  const changed = await client.call("PUT", `/event-types/${made.data.uid}`, {
    category: "todo",
    description: "",
  });
  expect(changed).toMatchObject({
    status: 202,
    data: { name: "created", category: "todo", description: "d" },
  });
});

test("a deleted endpoint comes back with its subscription when a backup is restored", async () => {
  const id = await client.endpoint({ owner_id: "ann" });
  const restore = () => client.request(`/inbox/endpoints/${id}/restore`, { method: "POST" });
  expect((await restore()).status).toBe(404);
  await client.call("DELETE", `/endpoints/${id}`);
  expect((await client.call("GET", `/endpoints/${id}`)).status).toBe(404);
  expect((await restore()).status).toBe(200);
  expect((await client.call("GET", `/endpoints/${id}`)).status).toBe(200);
  await client.event(id, "k");
  await client.convoy.idle();
  expect((await client.deliveries())[0]?.status).toBe("Success");
});

test("a reset clears endpoints, events, deliveries and faults", async () => {
  const id = await client.endpoint();
  await client.event(id, "k");
  await client.faults({ status: 500 });
  await client.inbox("POST", "/reset");
  await client.convoy.idle();
  expect(await client.deliveries()).toEqual([]);
  expect(await client.events()).toEqual([]);
  const { status, data } = await client.call<Paged<unknown>>("GET", "/endpoints");
  expect([status, data.content]).toEqual([200, []]);
});

test("clearing the inbox empties it and leaves Convoy's own lists alone", async () => {
  await client.event(await client.endpoint(), "k");
  await client.convoy.idle();
  await client.inbox("DELETE", "/deliveries");
  expect([await client.deliveries(), await client.events()]).toEqual([[], []]);
  const { data } = await client.call<Paged<unknown>>("GET", "/eventdeliveries");
  expect(data.content).toHaveLength(1);
});

test("two thousand deliveries are listed in one answer, newest first, and can be searched", async () => {
  const id = await client.endpoint();
  for (let at = 0; at < 2_000; at++) await client.event(id, `key-${at}`);
  await client.convoy.idle();
  const all = await client.deliveries();
  expect(all).toHaveLength(2_000);
  expect(all[0]?.idempotency_key).toBe("key-1999");
  expect(all.filter((one) => one.signature.valid)).toHaveLength(2_000);
  const found = await client.inbox<{ data: unknown[] }>("GET", "/deliveries?q=KEY-42");
  expect(found.data).toHaveLength(11);

  // The API's own lists, page by page, give each once, in order.
  for (const [list, perPage] of [
    ["events", 250],
    ["eventdeliveries", 500],
  ] as const) {
    const keys: string[] = [];
    let cursor = "";
    do {
      const query = `sort=ASC&perPage=${perPage}&direction=next&next_page_cursor=${cursor}`;
      const { data } = await client.call<Paged<{ idempotency_key: string }>>(
        "GET",
        `/${list}?${query}`,
      );
      keys.push(...data.content.map((one) => one.idempotency_key));
      cursor = data.pagination.has_next_page ? String(data.pagination.next_page_cursor) : "";
    } while (cursor !== "");
    expect(keys).toEqual(Array.from({ length: 2_000 }, (_, at) => `key-${at}`));
  }
});

test("deliveries are filtered by several statuses and endpoints, by a window, and sorted", async () => {
  await client.convoy.close();
  const clock = { now: Date.parse("2026-11-24T12:00:00Z") };
  client = start({ deliver: receiver().deliver, now: () => clock.now });
  const [active, paused, other] = [
    await client.endpoint(),
    await client.endpoint(),
    await client.endpoint(),
  ];
  await client.call("PUT", `/endpoints/${paused}/pause`);
  const send = async (id: string, key: string) => {
    await client.event(id, key);
    await client.convoy.idle();
    clock.now += 60_000;
  };
  await send(active!, "success");
  await send(paused!, "discarded");
  await send(other!, "other");
  await client.faults({ strand: {} });
  await send(active!, "scheduled");

  const keys = async (query: string) => {
    const path = `/eventdeliveries?${query}`;
    const { data } = await client.call<Paged<{ idempotency_key: string }>>("GET", path);
    return data.content.map((one) => one.idempotency_key);
  };
  expect(await keys("status=Scheduled&status=Discarded")).toEqual(["scheduled", "discarded"]);
  expect(await keys(`endpointId=${active}&endpointId=${paused}&sort=ASC`)).toEqual([
    "success",
    "discarded",
    "scheduled",
  ]);
  expect(await keys(`endpointId=${active}&status=Success`)).toEqual(["success"]);
  expect(await keys("startDate=2026-11-24T12:01:00&endDate=2026-11-24T12:02:00")).toEqual([
    "other",
    "discarded",
  ]);
});
