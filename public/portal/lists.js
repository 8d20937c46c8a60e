// The deliveries and events that the page knows, each once, and the lists that show them. What is new waits beside a list
// until the reader asks for it: nothing moves under their eyes.
import { ask } from "./api.js";
import { change, note, now } from "./store.js";
import { isFinal } from "./words.js";

/** Rows of a list at first; of all of an endpoint's deliveries, whose last ones are also counted. */
const PAGE = 25;
export const COUNTED = 100;
/** Most deliveries that a poll watches. */
const WATCHED = 15;
/** Rows that are added at a time. */
const OLDER = 50;
/** Pages that are read at once if a filter finds little: each looks at 1,000 rows of the log. */
const PAGES_AT_ONCE = 3;
/** How far back a filter by time looks. */
const SPANS_MS = { "1h": 3_600_000, "24h": 86_400_000, "7d": 604_800_000 };

const byId = new Map();
const lists = new Map();

/** A delivery as last heard of; undefined if it is unknown. */
export const deliveryOf = (id) => byId.get(id);

/** Remembers deliveries or events. Returns whether one of them is new or has changed. */
export function learn(deliveries) {
  let changed = false;
  for (const one of deliveries) {
    const was = byId.get(one.id);
    changed ||= JSON.stringify({ ...was, ...one }) !== JSON.stringify(was);
    byId.set(one.id, { ...was, ...one });
  }
  return changed;
}

/** Forgets everything, for a new token. */
export function forgetLists() {
  byId.clear();
  lists.clear();
}

/** The API's parameters for a filter of the address: `since` may be a span, such as 24h. */
export function parametersOf({ status, endpoint, type, since, until }) {
  const ms = SPANS_MS[since];
  const from = ms === undefined ? since : new Date(Date.now() - ms).toISOString();
  const all = Object.entries({ status, endpoint, type, since: from, until });
  return Object.fromEntries(all.filter(([, value]) => value));
}

/** The list of a filter, of deliveries or of events; it is read if it is not known yet. */
export function listOf(filter, kind = "delivery") {
  const { status, endpoint, type, since, until } = filter;
  const key = JSON.stringify([kind, status, endpoint, type, since, until]);
  if (!lists.has(key)) {
    const list = { kind, filter: parametersOf(filter), ids: [], news: [], isMore: false };
    Object.assign(list, { after: undefined, cursor: undefined, error: undefined });
    lists.set(key, { ...list, isRead: false, busy: false });
    void readOlder(lists.get(key));
  }
  return lists.get(key);
}

/** What a list shows, newest first. */
export const shownOf = (list) => list.ids.map(deliveryOf);

const pathOf = (list, limit, cursor) =>
  `/${list.kind}?${new URLSearchParams({ ...list.filter, limit, ...(cursor ? { cursor } : {}) })}`;

const firstPage = ({ kind, filter: { endpoint, ...rest } }) =>
  kind === "delivery" && endpoint && Object.keys(rest).length === 0 ? COUNTED : PAGE;

/** Adds the next older rows to a list; the first ones if it has none. */
export async function readOlder(list) {
  if (list.busy) return;
  Object.assign(list, { busy: true });
  const mine = now();
  const wanted = list.isRead ? OLDER : firstPage(list);
  try {
    let missing = wanted;
    for (let page = 0; page < PAGES_AT_ONCE && missing > 0; page++) {
      const { data, cursor } = await ask("GET", pathOf(list, missing, list.cursor));
      if (mine === now()) learn(data);
      else learn(data.filter(({ id }) => !byId.has(id)));
      list.ids.push(...data.map(({ id }) => id).filter((id) => !list.ids.includes(id)));
      Object.assign(list, { cursor, isRead: true, error: undefined });
      missing -= data.length;
      if (cursor === undefined) break;
    }
    list.after ??= shownOf(list)[0]?.sequence ?? 0;
  } catch (error) {
    note(error);
    list.error = error;
  } finally {
    list.busy = false;
    change({});
  }
}

/** Shows what is new in a list. */
export function showNews(list) {
  if (list.isMore) {
    Object.assign(list, { ids: [], cursor: undefined, isRead: false });
    void readOlder(list);
  } else list.ids.unshift(...list.news);
  Object.assign(list, { news: [], isMore: false });
  change({});
}

/** Reads a list's first page again, where a poll cannot say what is new in it. */
async function compare(list) {
  const { data } = await ask("GET", pathOf(list, PAGE));
  learn(data);
  add(list, data);
  list.isMore = data.every(({ id }) => list.news.includes(id));
}

/** Reads again how those are that a list shows, after many were changed at once. */
export async function readAgain(list) {
  if (!list.isRead) return;
  const limit = Math.min(Math.max(list.ids.length, 1), COUNTED);
  const { data } = await ask("GET", pathOf(list, limit));
  learn(data);
  add(list, data);
  change({});
}

function add(list, data) {
  const { until } = list.filter;
  const fresh = data.filter(
    ({ id, created_at: at }) =>
      !list.ids.includes(id) && !list.news.includes(id) && !(until && at >= until),
  );
  const all = [...fresh.map(({ id }) => id), ...list.news].slice(0, COUNTED);
  list.news = all.sort((a, b) => deliveryOf(b).sequence - deliveryOf(a).sequence);
}

const isLost = ({ filter: { status } }) => status === "failed" || status === "dead";

/** What a poll asks about a list: what is new, and how those go on that are not final. */
export function questionOf(list) {
  if (list.kind === "event") {
    const open = shownOf(list).filter(({ status }) => !isFinal({ status }) && status !== "none");
    return { filter: {}, watched: open.slice(0, WATCHED).map(({ sequence }) => ({ sequence })) };
  }
  const { status, endpoint, type } = list.filter;
  const shown = [...list.news.map(deliveryOf), ...shownOf(list)].slice(0, COUNTED);
  const watched = shown.filter((one) => isLost(list) || !isFinal(one)).slice(0, WATCHED);
  return { after: list.after, filter: { status, endpoint, type }, watched };
}

/** Takes a poll's answer about a list; `follows`: the reader has just made something happen, and waits for it. */
export async function takeNews(list, { data, after, has_more: hasMore }, { changed, follows }) {
  if (!list.isRead) {
    if (list.error) await readOlder(list);
    return;
  }
  if (list.kind === "event") {
    if (changed) await compare(list);
    if (list.news.length > 0 && list.ids.length === 0) showNews(list);
    return;
  }
  add(list, data);
  // Above its first row nothing is certain in a list by status: what is there may come to have it.
  const { status } = list.filter;
  if (hasMore && !status) await compare(list);
  list.after = status ? (shownOf(list)[0]?.sequence ?? list.after) : after;
  if (list.news.length > 0 && (follows || list.ids.length === 0)) showNews(list);
}
