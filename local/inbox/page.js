// The page around the list: the bar, the filters, the dialog that asks before everything is cleared.
import { clear } from "./api.js";
import { detail } from "./detail.js";
import { empty } from "./empty.js";
import { faultsDialog, hasFaults, trouble } from "./faults.js";
import { count, number, shortUrl } from "./format.js";
import { list, SHOWN } from "./list.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { change, isFiltered, state } from "./view.js";

const TYPES = ["created", "updated", "deleted", "retrieved", "failed", "ping"];
const STATUSES = ["Success", "Scheduled", "Processing", "Retry", "Failure", "Discarded"];

const WORDS = { true: "live", false: "reconnecting" };

const closeDialog = () => change({ dialog: undefined });

function bar({ onsearch }) {
  return html`<header class="bar">
    <h1><img src="/assets/icon.svg" alt="" width="22" height="22"> Inbox <span class="of">local Convoy</span></h1>
    <p id="live" class="live" role="status" data-live=${state.connected ?? nothing}>${WORDS[state.connected] ?? "connecting"}</p>
    <search class="search">
      <label class="hidden" for="search">Search deliveries</label>
      <input id="search" type="search" placeholder="Search body, key, type, URL" autocomplete="off" spellcheck="false" aria-keyshortcuts="/"
        .value=${state.filter.q} @input=${(event) => onsearch(event.target.value)}>
      <kbd aria-hidden="true">/</kbd>
    </search>
    <div class="actions">
      <button type="button" id="open-faults" class=${hasFaults() ? "on" : ""} aria-haspopup="dialog" @click=${() => change({ dialog: { kind: "faults", faults: state.faults } })}>Faults</button>
      <button type="button" id="clear" aria-haspopup="dialog" @click=${() => change({ dialog: { kind: "clear" } })}>Clear …</button>
    </div>
  </header>`;
}

function choice(name, label, options, onfilter) {
  return html`<label>${label} <select id="filter-${name}" @change=${(event) => onfilter({ [name]: event.target.value })}>
    ${[["", "all"], ...options].map(
      ([value, text]) =>
        html`<option value=${value} .selected=${value === state.filter[name]}>${text}</option>`,
    )}
  </select></label>`;
}

function filters({ onfilter }) {
  const { deliveries, unread, endpoints } = state;
  const said = [
    count(deliveries.length, "delivery", "deliveries"),
    unread.size > 0 && `${number(unread.size)} unread`,
    deliveries.length >= SHOWN && `the newest ${number(SHOWN)}; search finds older ones`,
  ];
  const same = (all) => all.map((one) => [one, one]);
  const urls = [...endpoints].map(([id, url]) => [id, shortUrl(url)]);
  return html`<section class="filters" aria-label="Filters">
    ${choice("type", "Type", same([...new Set([...TYPES, ...state.types])]), onfilter)}
    ${choice("status", "Status", same(STATUSES), onfilter)}
    ${choice("endpoint", "Endpoint", urls, onfilter)}
    <p id="count" class="count" aria-live="polite">${said.filter(Boolean).join(" · ")}</p>
    <button type="button" id="read-all" class="quiet" ?hidden=${unread.size === 0} @click=${() => change({ unread: new Set() })}>Mark all read</button>
  </section>`;
}

function clearDialog() {
  const { length } = state.deliveries;
  const clearAll = (event) => {
    event.preventDefault();
    closeDialog();
    void clear();
  };
  return html`<form @submit=${clearAll}>
    <h2 id="dialog-title">Clear the whole inbox?</h2>
    <p>${
      isFiltered()
        ? html`<strong>Everything is cleared, not only the ${count(length, "delivery", "deliveries")} that the search and the filters show.</strong>`
        : `${length >= SHOWN ? "All deliveries are" : length === 1 ? "The only delivery is" : `All ${count(length, "delivery", "deliveries")} are`} cleared.`
    } Deliveries under way still arrive. Endpoints stay.</p>
    <footer>
      <button type="button" autofocus @click=${closeDialog}>Cancel</button>
      <button type="submit" class="danger filled">Clear everything</button>
    </footer>
  </form>`;
}

const DIALOGS = { faults: faultsDialog, clear: clearDialog };

/** The page; `does` are what its controls do. */
export function page(does) {
  const { dialog, said, deliveries, detail: opened, selected } = state;
  const hasDetail = opened !== undefined && opened.id === selected;
  return html`
    <div class="page${hasDetail ? " with-detail" : ""}">
      ${bar(does)}
      ${trouble()}
      ${filters(does)}
      <main>
        <section id="list-pane" class="list-pane${deliveries.length === 0 ? " is-empty" : ""}" aria-label="Deliveries">
          <div class="columns" aria-hidden="true">
            <span>Time</span><span>Type</span><span>About</span><span>Endpoint</span><span>Status</span><span>Signature</span>
          </div>
          ${list(does.onselect)}
          ${empty()}
        </section>
        ${detail(does)}
      </main>
      <footer class="keys" aria-hidden="true">
        <span><kbd>j</kbd> <kbd>k</kbd> next, previous</span><span><kbd>Enter</kbd> into the detail</span><span><kbd>/</kbd> search</span><span><kbd>r</kbd> replay</span><span><kbd>Esc</kbd> close</span>
      </footer>
    </div>
    <dialog aria-labelledby="dialog-title" @cancel=${closeDialog} @close=${closeDialog}>${dialog ? DIALOGS[dialog.kind](dialog) : nothing}</dialog>
    <p id="said" class="said" role="status" ?hidden=${said === ""}>${said}</p>
  `;
}
