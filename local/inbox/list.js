// The list of deliveries: newest first. It is one stop for the Tab key; arrows and j, k go through it.
import { subjectOf, tone, verdict } from "./content.js";
import { exact, shortUrl } from "./format.js";
import { repeat } from "./lit-html/directives/repeat.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { state } from "./view.js";

/** Most rows shown; a search finds older ones. */
export const SHOWN = 500;

const badge = (word, why) => html`<span class="badge" title=${why}>${word}</span>`;

/** What is special about a delivery. */
export const badges = ({ duplicate, kept, strand }) => [
  duplicate ? badge("duplicate", "The receiver already got this message") : nothing,
  kept ? badge("kept", "Its host is not this machine: kept here, not sent") : nothing,
  strand ? badge("stranded", "Its job is lost: it is not sent again automatically") : nothing,
];

function subject(body) {
  const about = subjectOf(body);
  return about
    ? html`<span class="item">${about.id === "" ? nothing : html`<span class="number">#${about.id} </span>`}${about.text}</span>`
    : html`<span class="item none">nothing</span>`;
}

function row(delivery, onselect) {
  const { id, attempts, event_type: type, created_at: at } = delivery;
  const isSelected = id === state.selected;
  const isUnread = state.unread.has(id);
  const isStop = id === (state.selected ?? state.deliveries[0].id);
  const signature = verdict(delivery.signature);
  const tries =
    attempts > 1 ? html`<span title="${attempts} attempts"> ×${attempts}</span>` : nothing;
  return html`<li>
    <button
      type="button" id="row-${id}" class="row${isUnread ? " unread" : ""}" tabindex=${isStop ? 0 : -1}
      aria-current=${isSelected ? "true" : nothing} @click=${(event) => onselect(id, event.detail === 0)}
    ><time class="when" datetime=${at}>${exact(at)}</time><span class="type" data-type=${type}>${type}</span><span class="about">${subject(delivery.body)}${badges(delivery)}</span><span class="url">${shortUrl(delivery.url)}</span><span class="status" data-tone=${tone(delivery.status)}>${delivery.status}${tries}</span><span class="signature" data-tone=${signature.tone}>${signature.word}</span>${isUnread ? html`<span class="hidden">unread</span>` : nothing}</button>
  </li>`;
}

/** The list; `onselect` gets a delivery's id, and whether the keyboard chose it. */
export const list = (onselect) =>
  html`<ol id="list" class="list">${repeat(
    state.deliveries,
    ({ id }) => id,
    (one) => row(one, onselect),
  )}</ol>`;
