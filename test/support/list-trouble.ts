/** What goes wrong with Convoy's lists, between a Worker and its Convoy: pages that fail, mislead or are not ours. */

/** An item of a list; what tests change of it. */
export type ListedItem = Record<string, unknown> & {
  uid: string;
  project_id: string;
  idempotency_key: string;
  endpoint_id?: string;
};

/** A page as Convoy answers it. */
export type ListedPage = {
  content: ListedItem[];
  pagination: Record<string, unknown> & { has_next_page: boolean; next_page_cursor: string };
};

/** A call for a page: `page` counts from 1, anew with each call without a cursor. */
export type ListCall = {
  list: "events" | "eventdeliveries";
  query: URLSearchParams;
  page: number;
};

/** What becomes of a page: another one, or any answer in its place. */
export type ListTrouble = (page: ListedPage, call: ListCall) => ListedPage | Response;

/** A Convoy whose lists can be troubled; all else passes through. */
export type TroubledLists = {
  fetch: (request: Request) => Promise<Response>;
  /** The calls for lists, in order. */
  calls: ListCall[];
  /** Sets the troubles from now on, each applied to what the one before it made; none ends them. */
  trouble: (...troubles: ListTrouble[]) => void;
};

const LIST = /\/projects\/[^/]+\/(events|eventdeliveries)$/;

/** Puts troubles between a Worker and the Convoy that `fetch` reaches. */
export function troubledLists(fetch: TroubledLists["fetch"]): TroubledLists {
  const calls: ListCall[] = [];
  let troubles: ListTrouble[] = [];
  const pages = new Map<string, number>();
  const callOf = (list: ListCall["list"], query: URLSearchParams): ListCall => {
    const page = query.get("next_page_cursor") ? (pages.get(list) ?? 0) + 1 : 1;
    pages.set(list, page);
    return { list, query, page };
  };
  return {
    calls,
    trouble(...next) {
      troubles = next;
    },
    async fetch(request) {
      const { pathname, searchParams } = new URL(request.url);
      const list = LIST.exec(pathname)?.[1] as ListCall["list"] | undefined;
      const answer = await fetch(request);
      if (request.method !== "GET" || list === undefined) return answer;
      const call = callOf(list, searchParams);
      calls.push(call);
      if (!answer.ok || troubles.length === 0) return answer;
      const body = (await answer.json()) as { data: ListedPage };
      let page = body.data;
      for (const trouble of troubles) {
        const made = trouble(page, call);
        if (made instanceof Response) return made;
        page = made;
      }
      return Response.json({ ...body, data: page }, { headers: answer.headers });
    },
  };
}

/** Troubles only the pages that fit. */
export const when =
  (fits: (call: ListCall, page: ListedPage) => boolean, trouble: ListTrouble): ListTrouble =>
  (page, call) =>
    fits(call, page) ? trouble(page, call) : page;

/** Whether a call looks for one key. */
export const byKey = ({ query }: ListCall): boolean => query.has("idempotencyKey");

/** Whether a call is for this page of a walk. */
export const onPage =
  (number: number) =>
  (call: ListCall): boolean =>
    !byKey(call) && call.page === number;

/** Whether a page has this key in it, however large it is and wherever it begins. */
export const containing =
  (key: string) =>
  (_: ListCall, { content }: ListedPage): boolean =>
    content.some((item) => item.idempotency_key === key);

/** Answers with an error in place of a page. */
export const failing =
  (status: number, message = "an error occurred while fetching event deliveries"): ListTrouble =>
  () =>
    Response.json({ status: false, message }, { status });

/** The next page's cursor is this page's own. */
export const unmoving: ListTrouble = (page, { query }) => ({
  ...page,
  pagination: {
    ...page.pagination,
    has_next_page: true,
    next_page_cursor: query.get("next_page_cursor") || (page.content[0]?.uid ?? "unmoving"),
  },
});

/** There is a next page, but no cursor for it. */
export const cursorless: ListTrouble = (page) => ({
  ...page,
  pagination: { ...page.pagination, has_next_page: true, next_page_cursor: "" },
});

/** Each item is changed, or replaced by several. */
export const changing =
  (change: (item: ListedItem) => ListedItem | ListedItem[]): ListTrouble =>
  (page) => ({ ...page, content: page.content.flatMap(change) });

/** Each item is preceded by its like of another project. */
export const withAnotherProjects: ListTrouble = changing((item) => [
  { ...item, uid: `${item.uid}-foreign`, project_id: "another" },
  item,
]);

/** Each item is preceded by another program's, whose body has this many bytes. */
export const withLargeBodies = (bytes: number): ListTrouble =>
  changing((item) => {
    const text = "x".repeat(bytes);
    const metadata = { ...(item.metadata as object), data: { text }, raw: `{"text":"${text}"}` };
    const foreign = { uid: `${item.uid}-large`, idempotency_key: `large-${item.uid}`, metadata };
    return [{ ...item, ...foreign }, item];
  });
