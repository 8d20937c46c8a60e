// The list of deliveries: newest first, updated row by row.
import { byId, el } from "./dom.js";
import { shortUrl, time, todoOf, tone, verdict } from "./format.js";

/** Most rows shown; a search finds older ones. */
export const SHOWN = 500;

const rows = new Map();

function badges(delivery) {
  return [
    delivery.duplicate &&
      el("span", { class: "badge", title: "The receiver already got this message" }, "duplicate"),
    delivery.kept &&
      el(
        "span",
        { class: "badge", title: "Its host is not this machine: kept here, not sent" },
        "kept",
      ),
    delivery.strand &&
      el(
        "span",
        { class: "badge", title: "Its job is lost: it is not sent again automatically" },
        "stranded",
      ),
  ];
}

function fill(item, delivery, { selected, unread, onselect }) {
  const todo = todoOf(delivery.body);
  const signature = verdict(delivery.signature);
  const tries = delivery.attempts > 1 ? ` ×${delivery.attempts}` : "";
  const button = el(
    "button",
    {
      type: "button",
      class: `row${unread ? " unread" : ""}`,
      "aria-current": selected ? "true" : undefined,
      onclick: () => onselect(delivery.id),
    },
    el("time", { class: "when", datetime: delivery.created_at }, time(delivery.created_at)),
    el("span", { class: "type", "data-type": delivery.event_type }, delivery.event_type),
    el(
      "span",
      { class: "todo" },
      el(
        "span",
        { class: todo ? "item" : "item none" },
        todo && el("span", { class: "number" }, `#${todo.id} `),
        todo ? todo.item : "no todo",
      ),
      badges(delivery),
    ),
    el("span", { class: "url" }, shortUrl(delivery.url)),
    el(
      "span",
      { class: "status", "data-tone": tone(delivery.status) },
      delivery.status,
      tries && el("span", { title: `${delivery.attempts} attempts` }, tries),
    ),
    el("span", { class: "signature", "data-tone": signature.tone }, signature.word),
    unread && el("span", { class: "hidden" }, "unread"),
  );
  const focused = item.contains(document.activeElement);
  item.replaceChildren(button);
  if (focused) button.focus();
}

/** Shows these deliveries, in this order. Unchanged rows are left alone. */
export function showList(deliveries, view) {
  const list = byId("list");
  const wanted = new Set(deliveries.map((one) => one.id));
  for (const [id, row] of rows) {
    if (wanted.has(id)) continue;
    row.item.remove();
    rows.delete(id);
  }
  let at = list.firstElementChild;
  for (const delivery of deliveries) {
    const selected = delivery.id === view.selected;
    const unread = view.unread.has(delivery.id);
    const drawn = `${JSON.stringify(delivery)}${selected}${unread}`;
    const row = rows.get(delivery.id) ?? { item: el("li"), drawn: "" };
    rows.set(delivery.id, row);
    if (row.drawn !== drawn) {
      fill(row.item, delivery, { selected, unread, onselect: view.onselect });
      row.drawn = drawn;
    }
    if (row.item === at) at = at.nextElementSibling;
    else list.insertBefore(row.item, at);
  }
}

/** Scrolls a row into view. */
export function scrollTo(id) {
  rows.get(id)?.item.scrollIntoView({ block: "nearest" });
}
