// The inbox page: keeps the list live, and connects list, detail, filters, keys and faults.
import { fetchDelivery, fetchFaults, fetchList, fetchSettings, replay } from "./api.js";
import { SHOWN } from "./list.js";
import { render } from "./lit-html/lit-html.js";
import { page } from "./page.js";
import { change, drawSoon, onChange, say, state } from "./view.js";

/** How long typing must pause before a search starts. */
const SEARCH_MS = 150;

const byId = (id) => document.getElementById(id);
const root = byId("app");

function matches(delivery) {
  const { type, status, endpoint, q } = state.filter;
  const { body, idempotency_key: key, event_type, url, endpoint_id } = delivery;
  const text = [body, key, event_type, url, delivery.status, endpoint_id].join("\n").toLowerCase();
  return (
    (!type || event_type === type) &&
    (!status || delivery.status === status) &&
    (!endpoint || endpoint_id === endpoint) &&
    text.includes(q.trim().toLowerCase())
  );
}

function note({ endpoint_id: id, url, event_type: type }) {
  if (!state.endpoints.has(id)) state.endpoints.set(id, url);
  state.types.add(type);
}

let loads = 0;
/** Changes since the load in progress began; undefined if there is none. */
let meanwhile;
async function load() {
  const mine = ++loads;
  meanwhile = [];
  try {
    const { data } = await fetchList(state.filter);
    // A later load has replaced this one.
    if (mine !== loads) return;
    state.deliveries = data;
    for (const delivery of data) note(delivery);
    // The list may be older than what was streamed meanwhile.
    for (const delivery of meanwhile) apply(delivery);
    change({});
    if (data.length === 0) void readSettings();
  } finally {
    if (mine === loads) meanwhile = undefined;
  }
}

async function readSettings() {
  change({ settings: await fetchSettings() });
}

async function readFaults() {
  change({ faults: await fetchFaults() });
}

function changed(delivery) {
  meanwhile?.push(delivery);
  apply(delivery);
  if (delivery.id === state.selected) void open(delivery.id);
  drawSoon();
}

/** Puts a delivery in its place in the list, or removes it if it no longer matches. */
function apply(delivery) {
  const { deliveries, selected, unread } = state;
  note(delivery);
  const at = deliveries.findIndex((one) => one.id === delivery.id);
  if (!matches(delivery)) {
    if (at >= 0) deliveries.splice(at, 1);
  } else if (at >= 0) {
    deliveries[at] = delivery;
  } else {
    const before = deliveries.findIndex((one) => one.id < delivery.id);
    deliveries.splice(before < 0 ? deliveries.length : before, 0, delivery);
    deliveries.length = Math.min(deliveries.length, SHOWN);
    if (delivery.id !== selected) unread.add(delivery.id);
  }
}

async function open(id) {
  try {
    const detail = await fetchDelivery(id);
    if (id === state.selected) change({ detail });
  } catch (error) {
    say(error.message);
  }
}

/** Selects a delivery; chosen by the keyboard, the focus goes on to its buttons. */
async function select(id, isByKey) {
  state.unread.delete(id);
  const isOther = id !== state.selected;
  change({ selected: id });
  byId(`row-${id}`)?.scrollIntoView({ block: "nearest" });
  await open(id);
  if (isOther) byId("detail").scrollTop = 0;
  if (isByKey) enter();
}

/** Into the detail: its first buttons are the next ones. */
function enter() {
  byId("detail").focus();
}

function close() {
  const was = state.selected;
  change({ selected: undefined, detail: undefined });
  const row = byId(`row-${was}`);
  row?.scrollIntoView({ block: "nearest" });
  row?.focus();
}

async function replaySelected() {
  if (state.selected === undefined) return;
  try {
    await replay(state.selected);
    say("Sent again");
  } catch (error) {
    say(error.message);
  }
}

/** Selects the next or the previous one, of the row that has the focus or is selected. */
function step(by) {
  const { deliveries, selected } = state;
  if (deliveries.length === 0) return;
  const focused = document.activeElement.closest(".row")?.id.slice("row-".length);
  const at = deliveries.findIndex((one) => one.id === (focused ?? selected));
  const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), deliveries.length - 1);
  const { id } = deliveries[next];
  void select(id, false);
  byId(`row-${id}`)?.focus();
}

let searchTimer;
function search(q) {
  change({ filter: { ...state.filter, q } });
  clearTimeout(searchTimer);
  searchTimer = setTimeout(load, SEARCH_MS);
}

function filterBy(patch) {
  change({ filter: { ...state.filter, ...patch } });
  void load();
}

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  r: () => void replaySelected(),
  "/": () => byId("search").focus(),
};
const LIST_KEYS = { ArrowDown: KEYS.j, ArrowUp: KEYS.k };

/** Escape undoes the last thing: the search, then the focus in it, then the open delivery. */
function stepBack(target) {
  if (target.id === "search" && state.filter.q !== "") search("");
  else if (target.matches("input, select, textarea")) target.blur();
  else if (state.selected !== undefined) close();
}

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || state.dialog) return;
  const isTyping = target.matches("input, select, textarea");
  const action = isTyping ? undefined : (KEYS[key] ?? (target.matches(".row") && LIST_KEYS[key]));
  if (key === "Escape") {
    event.preventDefault();
    stepBack(target);
  } else if (action) {
    event.preventDefault();
    action();
  } else if (key === "Enter" && target === document.body && state.selected !== undefined) enter();
});

const does = {
  onsearch: search,
  onfilter: filterBy,
  onselect: (id, isByKey) => void select(id, isByKey),
  onreplay: () => void replaySelected(),
  onclose: close,
};

let shown;
function draw() {
  render(page(does), root);
  const { unread, dialog } = state;
  document.title = `${unread.size > 0 ? `(${unread.size}) ` : ""}Inbox · local Convoy`;
  if (dialog?.kind === shown) return;
  shown = dialog?.kind;
  const element = root.querySelector("dialog");
  if (shown) element.showModal();
  else element.close();
}

onChange(draw);
draw();

const stream = new EventSource("/inbox/stream");
// After every (re)connection, fetch the list: what happened before was not streamed.
stream.addEventListener("open", () => {
  change({ connected: true });
  void load();
  void readFaults();
});
stream.addEventListener("error", () => change({ connected: false }));
stream.addEventListener("delivery", (event) => changed(JSON.parse(event.data)));
stream.addEventListener("faults", () => void readFaults());
stream.addEventListener("endpoint", () => {
  if (state.deliveries.length === 0) void readSettings();
});
stream.addEventListener("cleared", () => {
  state.unread.clear();
  if (state.selected !== undefined) close();
  void load();
});
