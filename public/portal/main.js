// The portal: connects the views, the address, the session and the polling.
import { endpointNeeds, endpointView } from "./endpoint.js";
import { endpointsNeeds, endpointsView } from "./endpoints.js";
import { eventNeeds, eventView } from "./event.js";
import { eventsNeeds, eventsView, filterEvents } from "./events.js";
import { span } from "./format.js";
import { dialogContent, onCancel, onClose } from "./forms.js";
import { html, nothing, render } from "./lit-html/lit-html.js";
import { bearer, claims, takeToken } from "./session.js";
import { answer, begin, change, look, setUp, state } from "./store.js";
import { SUMMARY } from "./waiting.js";

/** How long before the link expires to announce it. */
const ENDS_SOON_MS = 10 * 60_000;

const VIEWS = {
  endpoints: { title: "Endpoints", needs: endpointsNeeds, draw: endpointsView, tab: "endpoints" },
  endpoint: { title: "Endpoint", needs: endpointNeeds, draw: endpointView, tab: "endpoints" },
  events: { title: "Events", needs: eventsNeeds, draw: eventsView, tab: "events" },
  event: { title: "Event", needs: eventNeeds, draw: eventView, tab: "events" },
};

/** The view that the address names: `#/`, `#/endpoint/ID`, `#/events`, `#/events/STATE`, `#/event/ID`. */
function routeOf(hash) {
  const [view = "", id] = hash.replace(/^#\/?/, "").split("/").map(decoded);
  if (id && (view === "endpoint" || view === "event")) return { view, id };
  return view === "events" ? { view, filter: id } : { view: "endpoints" };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function ended({ message }) {
  const expired = /expired/.test(message);
  const title = expired
    ? "This link has expired"
    : bearer() === undefined
      ? "This page opens only with a link"
      : "This link is not valid";
  return html`<div class="empty card">
    <h1>${title}</h1>
    <p>Go back to the application you came from and open your webhooks there again: it gives you a new link.
      ${bearer() === undefined ? "Reloading this page makes it forget the link, which is not stored in the browser." : nothing}</p>
    ${expired || bearer() === undefined ? nothing : html`<p class="soft">${message}</p>`}
  </div>`;
}

function session() {
  const { owner, expiresAt } = claims();
  const left = expiresAt - Date.now();
  return html`
    ${left > 0 && left < ENDS_SOON_MS ? html`<span class="ends">This link expires in ${span(left)}</span>` : nothing}
    ${owner === undefined ? nothing : html`<span class="owner" title="Whose webhooks these are">${owner}</span>`}
  `;
}

function page() {
  const { route, live, said } = state;
  const view = VIEWS[route.view];
  const { dead = 0 } = answer(SUMMARY) ?? {};
  const tab = (name, href, label, badge = nothing) =>
    html`<a href=${href} aria-current=${view.tab === name ? "page" : nothing}>${label}${badge}</a>`;
  return html`
    <a class="skip" href="#main" @click=${skip}>Skip to content</a>
    <header class="bar">
      <div class="within">
        <span class="brand"><img src="/portal/icon.svg" alt="" width="24" height="24">Webhooks</span>
        <nav aria-label="Sections">
          ${tab("endpoints", "#/", "Endpoints")}
          ${tab("events", "#/events", "Events", dead > 0 ? html` <span class="badge">${dead.toLocaleString()}<span class="hidden"> given up</span></span>` : nothing)}
        </nav>
        <div class="session">
          ${session()}
          <span class="live" role="status" data-live=${live === undefined ? nothing : live && !state.ended}>${state.ended ? "ended" : live === false ? "trying again" : live ? "live" : "connecting"}</span>
        </div>
      </div>
    </header>
    <main id="main" tabindex="-1" class="within">${state.ended ? ended(state.ended) : view.draw(route.id)}</main>
    <dialog aria-labelledby="dialog-title" @cancel=${onCancel} @close=${onClose}>${dialogContent()}</dialog>
    <p class="said" role="status" ?hidden=${said === ""}>${said}</p>
  `;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

const root = document.getElementById("app");
let shown;

function draw() {
  render(page(), root);
  const dialog = root.querySelector("dialog");
  const kind = state.ended ? undefined : state.dialog?.kind;
  if (kind !== shown) {
    if (!kind) {
      dialog.close();
      // The element that opened it may be gone, as after a removal.
      if (document.activeElement === document.body)
        document.getElementById("main").focus({ preventScroll: true });
    } else if (!dialog.open) dialog.showModal();
    // An open dialog that changes its content loses the focused element.
    else dialog.querySelector("[autofocus]")?.focus();
  }
  shown = kind;
  const title = state.ended ? "Ended" : VIEWS[state.route.view].title;
  document.title = `${title} · Webhooks`;
}

function go() {
  if (takeToken()) begin();
  const { filter, ...route } = routeOf(location.hash);
  if (filter) {
    history.replaceState(null, "", "#/events");
    filterEvents({ type: "", state: filter });
  }
  const moved = JSON.stringify(route) !== JSON.stringify(state.route);
  change({ route, ...(moved ? { opened: undefined, pointed: undefined } : {}) });
  void look();
  if (!moved) return;
  scrollTo(0, 0);
  document.getElementById("main").focus({ preventScroll: true });
}

setUp(draw, () => VIEWS[state.route.view].needs(state.route.id));
addEventListener("hashchange", go);
document.addEventListener("visibilitychange", () => void look());
go();
