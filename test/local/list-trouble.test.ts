// The troubles of test/support/list-trouble.ts, on the lists of a local Convoy.
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  byKey,
  changing,
  containing,
  cursorless,
  failing,
  type ListedPage,
  type ListTrouble,
  onPage,
  type TroubledLists,
  troubledLists,
  unmoving,
  when,
  withAnotherProjects,
  withLargeBodies,
} from "../support/list-trouble.ts";
import { type Client, receiver, start } from "./client.ts";

let client: Client;
let lists: TroubledLists;
beforeEach(async () => {
  client = start({ deliver: receiver().deliver });
  const id = await client.endpoint();
  for (const key of ["a", "b", "c", "d", "e"]) await client.event(id, key);
  await client.convoy.idle();
  lists = troubledLists(client.convoy.fetch);
});
afterEach(() => client.convoy.close());

async function ask(query: string) {
  const url = `http://c.test/api/v1/projects/local/eventdeliveries?sort=ASC&${query}`;
  const response = await lists.fetch(
    new Request(url, { headers: { Authorization: "Bearer local" } }),
  );
  const { data } = (await response.json()) as { data?: ListedPage };
  return { status: response.status, data, keys: data?.content.map((item) => item.idempotency_key) };
}
const next = (data: ListedPage | undefined) =>
  `perPage=2&direction=next&next_page_cursor=${data?.pagination.next_page_cursor}`;

test("without a trouble, all passes, and the calls are recorded", async () => {
  const first = await ask("perPage=2");
  const second = await ask(next(first.data));
  expect([first.keys, second.keys]).toEqual([
    ["a", "b"],
    ["c", "d"],
  ]);
  await ask("idempotencyKey=a");
  expect(lists.calls.map(({ list, page }) => [list, page])).toEqual([
    ["eventdeliveries", 1],
    ["eventdeliveries", 2],
    ["eventdeliveries", 1],
  ]);
});

test("one page fails, and the walk's beginning and a look-up do not", async () => {
  lists.trouble(when(onPage(2), failing(500)));
  const first = await ask("perPage=2");
  expect((await ask(next(first.data))).status).toBe(500);
  expect((await ask("idempotencyKey=c")).status).toBe(200);
  lists.trouble();
  expect((await ask(next(first.data))).keys).toEqual(["c", "d"]);
});

test("whatever page has an item fails, however small", async () => {
  lists.trouble(when(containing("c"), failing(500)));
  expect((await ask("perPage=2")).status).toBe(200);
  expect((await ask("perPage=3")).status).toBe(500);
});

test.each<[string, ListTrouble, (first: ListedPage) => unknown]>([
  ["the first item", unmoving, ({ content }) => content[0]?.uid],
  ["nothing", cursorless, () => ""],
])("the cursor is %s", async (_, trouble, cursor) => {
  lists.trouble(trouble);
  const { data } = await ask("perPage=2");
  expect(data?.pagination).toMatchObject({
    has_next_page: true,
    next_page_cursor: cursor(data!),
  });
});

test("an unmoving cursor stays what was asked for", async () => {
  const first = await ask("perPage=2");
  lists.trouble(unmoving);
  const second = await ask(next(first.data));
  expect(next(second.data)).toBe(next(first.data));
});

test("items of another project, of other programs, and with other members come among ours", async () => {
  lists.trouble(withAnotherProjects);
  const foreign = await ask("perPage=1");
  expect(foreign.data?.content.map((item) => item.project_id)).toEqual(["another", "local"]);

  lists.trouble(withLargeBodies(1_000_000));
  const large = await ask("perPage=1");
  expect(JSON.stringify(large.data?.content[0]).length).toBeGreaterThan(1_000_000);
  expect(large.keys?.[1]).toBe("a");

  lists.trouble(
    when(
      byKey,
      changing((item) => ({ ...item, idempotency_key: "another" })),
    ),
  );
  expect((await ask("idempotencyKey=a")).keys).toEqual(["another"]);
  lists.trouble(changing((item) => ({ ...item, endpoint_id: "another" })));
  expect((await ask("perPage=1")).data?.content[0]?.endpoint_id).toBe("another");
});
