// The log of events: what happened, and the sum of each one's deliveries.
import { filters, newsBar, olderButton } from "./deliveries.js";
import { exact, relative } from "./format.js";
import { listOf, readOlder, shownOf } from "./lists.js";
import { repeat } from "./lit-html/directives/repeat.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { empty, failed, loading, pill } from "./parts.js";
import { needNames } from "./records.js";
import { href } from "./route.js";
import { serviceNote } from "./service.js";
import { sumOf, toneOf } from "./words.js";

/** What an event is about: its resource's title, or what a ping is called. */
export const aboutOf = ({ title, type, test }) =>
  `${title ?? (type === "ping" ? "Ping" : type)}${test ? " (test)" : ""}`;

function line(event) {
  const { id, status, type, occurred_at: at } = event;
  return html`<li class="entry">
    <a class="row event" id="row-${id}" href=${href("event", id)}>
      ${pill(toneOf(status), status === "none" ? "not sent" : status)}
      <span class="main"><span class="about">${aboutOf(event)}</span><span class="soft"><span class="type" data-type=${type}>${type}</span></span></span>
      <span class="soft sum">${sumOf(event)}</span>
      <time class="soft time" datetime=${at} title=${exact(at)}>${relative(at)}</time>
    </a>
  </li>`;
}

function none({ query }) {
  return Object.values(query).some(Boolean)
    ? empty("No matching events", "None of what was looked at has a delivery like this.")
    : empty(
        "Nothing has happened yet",
        "Every change is an event. Make one, or send a ping to one of your endpoints: it appears here.",
        html`<a class="button" href=${href("endpoints")}>Endpoints</a>`,
      );
}

/** The page of all events. */
export const eventsView = {
  title: "Events",
  tab: "events",
  open: needNames,
  asks: ({ query }) => ({ list: listOf(query, "event") }),
  draw(route) {
    const list = listOf(route.query, "event");
    const shown = shownOf(list);
    return html`
      <header class="head"><h1>Events</h1></header>
      ${serviceNote()}
      ${filters(route)}
      <section class="card" aria-label="Events">
        ${newsBar(list, ["event", "events"])}
        ${failed(list.error, "The events cannot be shown.", () => void readOlder(list))}
        ${list.isRead || list.error ? nothing : loading()}
        ${list.isRead && shown.length === 0 ? none(route) : nothing}
        <ol class="list" ?hidden=${shown.length === 0}>${repeat(shown, ({ id }) => id, line)}</ol>
        ${olderButton(list)}
      </section>
    `;
  },
};
