// GET /eventdeliveries, recorded on v26.6.6 and v26.7.3: what it is ordered by, its cursors, and how its filters combine.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { VERSIONS } from "../../local/convoy/context.ts";
import { type Client, receiver, start } from "../local/client.ts";

const NOON = Date.parse("2026-11-24T12:00:00Z");

type Row = { uid: string; idempotency_key: string; created_at: string };
type Page = {
  content: Row[];
  pagination: { has_next_page: boolean; next_page_cursor: string; per_page: number };
};

describe.each(VERSIONS)("on %s", (version) => {
  let client: Client;
  let clock: { now: number };
  beforeEach(() => {
    clock = { now: NOON };
    client = start({ version, deliver: receiver().deliver, now: () => clock.now });
  });
  afterEach(() => client.convoy.close());

  const list = async (query: string) =>
    (await client.call<Page>("GET", `/eventdeliveries?${query}`)).data;
  const walk = async (query: string) => {
    const rows: Row[] = [];
    for (let cursor = "", more = true; more; ) {
      const { content, pagination } = await list(
        `${query}&direction=next&next_page_cursor=${cursor}`,
      );
      rows.push(...content);
      cursor = pagination.next_page_cursor;
      more = pagination.has_next_page;
    }
    return rows;
  };
  /** Deliveries whose workers raced: their uids and their created_at are in different orders. */
  const raced = async (count: number) => {
    const id = await client.endpoint();
    await client.faults({ race_ms: 5_000 });
    for (let at = 0; at < count; at++) {
      await client.event(id, `k${at}`);
      await client.convoy.idle();
      clock.now += 100;
    }
    await client.faults({});
  };
  const sortedBy = (rows: Row[], ...columns: (keyof Row)[]) =>
    rows.toSorted((one, other) => {
      const column = columns.find((each) => one[each] !== other[each]);
      return column === undefined || one[column] < other[column] ? -1 : 1;
    });

  test(`sort=ASC pages each delivery once, by ${version === "26.6" ? "uid" : "created_at"}`, async () => {
    await raced(40);
    const rows = await walk("sort=ASC&perPage=7");
    expect(new Set(rows.map((one) => one.uid)).size).toBe(40);
    const byUid = sortedBy(rows, "uid");
    const byTime = sortedBy(rows, "created_at", "uid");
    expect(byUid).not.toEqual(byTime);
    expect(rows).toEqual(version === "26.6" ? byUid : byTime);
    expect(await walk("perPage=7")).toEqual(rows.toReversed());
  });

  test("a cursor without a row is a place among uids, or the beginning again", async () => {
    await raced(5);
    const [first] = await walk("sort=ASC&perPage=1");
    const { content } = await list("sort=ASC&perPage=1&direction=next&next_page_cursor=ZZZ");
    expect(content).toEqual(version === "26.6" ? [] : [first]);
  });

  test("perPage=0 is an empty page that claims another one, without a cursor", async () => {
    await raced(1);
    const { content, pagination } = await list("perPage=0");
    expect(content).toEqual([]);
    expect(pagination).toMatchObject({ per_page: 0, has_next_page: true, next_page_cursor: "" });
  });

  test("endpoints, statuses, dates and key combine; each of the first two may be repeated", async () => {
    const [one, two, three] = [
      await client.endpoint(),
      await client.endpoint(),
      await client.endpoint(),
    ];
    await client.call("PUT", `/endpoints/${two}/pause`);
    const keyed: string[] = [];
    for (const id of [one, two, three, one, two, three]) {
      keyed.push(`${crypto.randomUUID()}.${id}`);
      await client.event(id, keyed.at(-1)!);
      await client.convoy.idle();
      clock.now += 60_000;
    }
    const keys = async (query: string) =>
      (await list(`sort=ASC&${query}`)).content.map((row) => keyed.indexOf(row.idempotency_key));
    expect(await keys(`endpointId=${one}&endpointId=${two}`)).toEqual([0, 1, 3, 4]);
    expect(await keys(`endpointId=${one}&endpointId=${two}&status=Success`)).toEqual([0, 3]);
    expect(await keys("status=Success&status=Discarded&startDate=2026-11-24T12:03:00")).toEqual([
      3, 4, 5,
    ]);
    const window = "startDate=2026-11-24T12:01:00&endDate=2026-11-24T12:04:00";
    expect(await keys(`${window}&endpointId=${two}`)).toEqual([1, 4]);
    expect(await keys(`${window}&idempotencyKey=${keyed[3]}`)).toEqual([3]);
    expect(await keys(`${window}&idempotencyKey=${keyed[5]}`)).toEqual([]);
    expect(await keys(`endpointId=${one}&idempotencyKey=${keyed[1]}`)).toEqual([]);
  });
});
