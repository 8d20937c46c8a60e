// The log of events: what happened, and the state of each.
import { count } from "./format.js";
import { openReplayAll } from "./forms.js";
import { repeat } from "./lit-html/directives/repeat.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { empty, failed, loading, pill, turner, when } from "./parts.js";
import { answer, change, failure, look, state } from "./store.js";
import { backlog, SUMMARY } from "./waiting.js";
import { STATES, stateOf, TYPES } from "./words.js";

const PAGE = 50;

const pages = () => state.pages.get("events") ?? [];

function eventsPath() {
  const query = new URLSearchParams({ limit: PAGE });
  for (const [name, value] of Object.entries(state.filter)) if (value) query.set(name, value);
  const cursor = pages().at(-1);
  if (cursor !== undefined) query.set("cursor", cursor);
  return `/event?${query}`;
}

/** The paths that the log needs. */
export const eventsNeeds = () => [eventsPath(), SUMMARY];

/** Filters the log, starting from its newest page. */
export function filterEvents(filter) {
  state.pages.delete("events");
  change({ filter: { ...state.filter, ...filter } });
  void look();
}

function choice(name, label, options) {
  return html`<label>${label}
    <select @change=${(event) => filterEvents({ [name]: event.target.value })}>
      ${["", ...options].map(
        (value) =>
          html`<option value=${value} ?selected=${state.filter[name] === value}>${value || "all"}</option>`,
      )}
    </select>
  </label>`;
}

/** What an event is about: a todo's number and text. */
export function about({ todo_id, todo }) {
  if (todo_id === null) return html`<span class="soft">no todo</span>`;
  return html`<span class="soft">#${todo_id}</span> ${todo?.item ?? ""}`;
}

/** An event's state as a pill that explains it. */
export function statePill(event) {
  const [tone, meaning] = stateOf(event);
  return pill(tone, event.state, meaning);
}

function line(event) {
  return html`<li class="entry">
    <a class="row event" href="#/event/${encodeURIComponent(event.id)}">
      ${statePill(event)}
      <span class="type" data-type=${event.type}>${event.type}</span>
      <span class="main">
        <span class="about">${about(event)}</span>
        ${event.error ? html`<span class="wrong" data-tone="bad">${event.error}</span>` : nothing}
      </span>
      <span class="soft time">${when(event.occurred_at)}</span>
    </a>
  </li>`;
}

function none(known) {
  if (known === undefined || known.data.length > 0) return nothing;
  if (known.cursor !== undefined) return empty("None on this page", "Older pages may have some.");
  if (state.filter.type || state.filter.state || pages().length > 0) {
    return empty(
      "No matching events",
      "Nothing in the log has this type and state.",
      html`<button type="button" @click=${() => filterEvents({ type: "", state: "" })}>Show all events</button>`,
    );
  }
  return empty(
    "Nothing has happened yet",
    "Every change is an event. Make one, or send a ping to one of your endpoints: it appears here.",
    html`<a class="button" href="#/">Endpoints</a>`,
  );
}

/** The view. */
export function eventsView() {
  const at = eventsPath();
  const known = answer(at);
  const dead = answer(SUMMARY)?.dead ?? 0;
  const turn = (to) => {
    state.pages.set("events", to);
    change({});
    void look();
  };
  return html`
    <header class="head">
      <h1>Events</h1>
      ${dead > 0 ? html`<button type="button" class="primary" @click=${() => openReplayAll(dead)}>Replay ${dead === 1 ? "the dead one" : `all ${dead.toLocaleString()} dead`}</button>` : nothing}
    </header>
    ${backlog()}
    <div class="filters" role="group" aria-label="Filters">
      ${choice("type", "Type", TYPES)} ${choice("state", "State", STATES)}
      ${known ? html`<span class="soft">${count(known.data.length, "event")}${known.cursor ? " on this page" : ""}</span>` : nothing}
    </div>
    ${failed(failure(at), "The events cannot be shown.")}
    ${known || failure(at) ? nothing : loading()}
    ${none(known)}
    <ol class="list card" ?hidden=${!known?.data.length}>
      ${repeat(known?.data ?? [], ({ id }) => id, line)}
    </ol>
    ${turner(pages(), known?.cursor, turn)}
  `;
}
