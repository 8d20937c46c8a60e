// One request asks what is new and how far things are. It comes often while something happens, seldom while nothing
// does, and not at all while the page is hidden.
import { ask } from "./api.js";
import { learn, questionOf, readAgain, takeNews } from "./lists.js";
import { change, note, now, state } from "./store.js";

/** Time to the next poll after the reader has changed something, and for how many polls. */
const QUICK_MS = 600;
const QUICK_POLLS = 12;
/** Time to the next poll after one that brought something new; it grows by GROWTH while none does, up to REST_MS. */
const BUSY_MS = 2_000;
const GROWTH = 1.5;
const REST_MS = 8_000;

let view = () => ({});
let pause = BUSY_MS;
let quick = 0;
let timer;
let loop = 0;

/**
 * Sets what the view in front asks: `list`, `watched` deliveries or {sequence} of events, and `onNews`, called with
 * whether anything changed.
 */
export function setView(asked) {
  view = asked;
}

const placeOf = ({ sequence, endpoint_id: endpoint }) =>
  endpoint === undefined ? `${sequence}` : `${sequence}.${endpoint}`;

/** What to ask, and the ids of the deliveries that are watched, by place. */
function questionFor({ list, watched = [] }) {
  const { after = state.after, filter, watched: shown } = list ? questionOf(list) : { watched: [] };
  const all = [...shown, ...watched];
  const query = Object.entries({ after, ...filter, watch: all.map(placeOf).join(",") });
  const search = new URLSearchParams(
    query.filter(([, value]) => value !== undefined && value !== ""),
  );
  return {
    path: `/delivery/poll?${search}`,
    ids: new Map(all.map((one) => [placeOf(one), one.id])),
  };
}

/** Polls now, and from then on while the page is visible. */
export async function look() {
  clearTimeout(timer);
  const mine = ++loop;
  if (document.visibilityState !== "visible" || state.ended) return;
  const asked = view();
  const before = now();
  const { path, ids } = questionFor(asked);
  let changed = false;
  try {
    const news = await ask("GET", path);
    if (mine !== loop) return;
    // Older than a change of the reader's own: the next one tells.
    if (before === now()) changed = await take(news, asked, ids);
    change({ live: true });
  } catch (error) {
    if (mine !== loop) return;
    note(error);
    // 4xx: the server itself answered.
    change({ live: error.status >= 400 && error.status < 500 && error.status !== 429 });
  }
  if (mine !== loop || state.ended) return;
  quick = Math.max(0, quick - 1);
  pause = changed ? BUSY_MS : Math.min(REST_MS, pause * GROWTH);
  timer = setTimeout(look, quick > 0 ? QUICK_MS : pause);
}

// What was last said of the deliveries of events, which are not known one by one.
let said = "";

function saysOther(watched) {
  const unknown = JSON.stringify(watched.filter(({ id }) => id === undefined));
  const isOther = unknown !== said;
  said = unknown;
  return isOther;
}

async function take(news, { list, onNews }, ids) {
  const watched = news.watched.map((one) => ({ ...one, id: ids.get(placeOf(one)) }));
  const isNew = learn(news.data);
  const hasChanged = learn(watched.filter(({ id }) => id !== undefined)) || saysOther(watched);
  const { gateway, waiting, failing, after } = news;
  const failingChanged =
    state.failing !== undefined && JSON.stringify(failing) !== JSON.stringify(state.failing);
  const changed = isNew || hasChanged || failingChanged || after !== state.after;
  change({ service: { gateway, waiting }, failing, after });
  if (list) await takeNews(list, news, { changed, follows: quick > 0 });
  onNews?.({ changed, failingChanged, watched });
  return changed;
}

/** Polls often for a while: something is about to happen. */
export function lookSoon() {
  quick = QUICK_POLLS;
  pause = BUSY_MS;
  void look();
}

/** After many were changed at once: reads again what the view in front shows of them. */
export async function lookAgain() {
  const { list } = view();
  if (list) await readAgain(list);
  lookSoon();
}

/** Polls now, since another view asks something else. */
export function lookNow() {
  pause = BUSY_MS;
  void look();
}
