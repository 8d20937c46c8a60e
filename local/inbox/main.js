// The inbox page: keeps the list live, and connects list, detail, filters, keys and faults.
import { clear, fetchDelivery, fetchList, replay } from "./api.js";
import { hideDetail, showDetail } from "./detail.js";
import { byId, el, say } from "./dom.js";
import { hideEmpty, showEmpty } from "./empty.js";
import { openFaults, showTrouble } from "./faults.js";
import { shortUrl } from "./format.js";
import { SHOWN, scrollTo, showList } from "./list.js";

const TYPES = ["created", "updated", "deleted", "retrieved", "failed", "ping"];
const STATUSES = ["Success", "Scheduled", "Processing", "Retry", "Failure", "Discarded"];
/** Changes within this time are drawn together. */
const DRAW_MS = 30;
/** How long typing must pause before a search starts. */
const SEARCH_MS = 150;

const filter = { q: "", type: "", status: "", endpoint: "" };
const unread = new Set();
const endpoints = new Map();
let deliveries = [];
let selected;
let drawTimer;

function matches(delivery) {
  const text = [
    delivery.body,
    delivery.idempotency_key,
    delivery.event_type,
    delivery.url,
    delivery.status,
    delivery.endpoint_id,
  ]
    .join("\n")
    .toLowerCase();
  return (
    (!filter.type || delivery.event_type === filter.type) &&
    (!filter.status || delivery.status === filter.status) &&
    (!filter.endpoint || delivery.endpoint_id === filter.endpoint) &&
    text.includes(filter.q.trim().toLowerCase())
  );
}

const isFiltered = () => Object.values(filter).some((value) => value !== "");

function draw() {
  drawTimer = undefined;
  showList(deliveries, { selected, unread, onselect: select });
  if (deliveries.length > 0) hideEmpty();
  else void showEmpty(isFiltered());
  byId("list-pane").classList.toggle("is-empty", deliveries.length === 0);
  const many = deliveries.length >= SHOWN ? `the newest ${SHOWN}; search finds older ones` : "";
  const count = deliveries.length === 1 ? "1 delivery" : `${deliveries.length} deliveries`;
  byId("count").textContent = [count, unread.size > 0 && `${unread.size} unread`, many]
    .filter(Boolean)
    .join(" · ");
  byId("read-all").hidden = unread.size === 0;
  document.title = `${unread.size > 0 ? `(${unread.size}) ` : ""}Inbox · local Convoy`;
}

function drawSoon() {
  if (drawTimer === undefined) drawTimer = setTimeout(draw, DRAW_MS);
}

function note(delivery) {
  if (endpoints.has(delivery.endpoint_id)) return;
  endpoints.set(delivery.endpoint_id, delivery.url);
  byId("filter-endpoint").append(
    el("option", { value: delivery.endpoint_id }, shortUrl(delivery.url)),
  );
}

let loads = 0;
/** Changes since the load in progress began; undefined if there is none. */
let meanwhile;
async function load() {
  const mine = ++loads;
  meanwhile = [];
  try {
    const { data } = await fetchList(filter);
    // A later load has replaced this one.
    if (mine !== loads) return;
    deliveries = data;
    for (const delivery of data) note(delivery);
    // The list may be older than what was streamed meanwhile.
    for (const delivery of meanwhile) apply(delivery);
    draw();
  } finally {
    if (mine === loads) meanwhile = undefined;
  }
}

function changed(delivery) {
  meanwhile?.push(delivery);
  apply(delivery);
  if (delivery.id === selected) void open(delivery.id);
  drawSoon();
}

/** Puts a delivery in its place in the list, or removes it if it no longer matches. */
function apply(delivery) {
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
    const delivery = await fetchDelivery(id);
    if (id !== selected) return;
    showDetail(delivery, { onreplay: replaySelected, onclose: close });
  } catch (error) {
    say(error.message);
  }
}

function select(id) {
  selected = id;
  unread.delete(id);
  draw();
  scrollTo(id);
  void open(id);
}

function close() {
  const was = selected;
  selected = undefined;
  hideDetail();
  draw();
  scrollTo(was);
}

async function replaySelected() {
  if (selected === undefined) return;
  try {
    await replay(selected);
    say("Sent again");
  } catch (error) {
    say(error.message);
  }
}

function step(by) {
  if (deliveries.length === 0) return;
  const at = deliveries.findIndex((one) => one.id === selected);
  const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), deliveries.length - 1);
  select(deliveries[next].id);
}

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  r: () => void replaySelected(),
  "/": () => byId("search").focus(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("faults").open) return;
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape") {
    if (typing) event.target.blur();
    else if (selected !== undefined) close();
  } else if (!typing && KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

let searchTimer;
byId("search").addEventListener("input", (event) => {
  filter.q = event.target.value;
  clearTimeout(searchTimer);
  searchTimer = setTimeout(load, SEARCH_MS);
});
for (const name of ["type", "status", "endpoint"]) {
  byId(`filter-${name}`).addEventListener("change", (event) => {
    filter[name] = event.target.value;
    void load();
  });
}
byId("filter-type").append(...TYPES.map((type) => el("option", {}, type)));
byId("filter-status").append(...STATUSES.map((status) => el("option", {}, status)));
byId("open-faults").addEventListener("click", () => void openFaults());
byId("clear").addEventListener("click", () => void clear());
byId("read-all").addEventListener("click", () => {
  unread.clear();
  draw();
});

function live(connected) {
  byId("live").textContent = connected ? "live" : "reconnecting";
  byId("live").dataset.connected = String(connected);
}

const stream = new EventSource("/inbox/stream");
// After every (re)connection, fetch the list: what happened before was not streamed.
stream.addEventListener("open", () => {
  live(true);
  void load();
  void showTrouble();
});
stream.addEventListener("error", () => live(false));
stream.addEventListener("delivery", (event) => changed(JSON.parse(event.data)));
stream.addEventListener("faults", () => void showTrouble());
stream.addEventListener("endpoint", () => drawSoon());
stream.addEventListener("cleared", () => {
  unread.clear();
  if (selected !== undefined) close();
  void load();
});
