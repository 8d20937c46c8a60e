// The portal: connects the views, the address, the session and the polls.
import { onCancel, onClose } from "./dialog.js";
import { number, span } from "./format.js";
import { forgetLists } from "./lists.js";
import { html, nothing, render } from "./lit-html/lit-html.js";
import { failed, loading } from "./parts.js";
import { look, lookNow, lookSoon, setView } from "./poll.js";
import { roundNote } from "./resend.js";
import { href, routeOf } from "./route.js";
import { isDown } from "./service.js";
import { bearer, claims, takeToken } from "./session.js";
import { change, forget, leave, say, setUp, state } from "./store.js";

/** How long before the link expires to announce it. */
const ENDS_SOON_MS = 10 * 60_000;

/** The views, each read when it is first shown: [tab, how]. */
const VIEWS = {
  deliveries: ["deliveries", async () => (await import("./deliveries.js")).deliveriesView],
  delivery: ["deliveries", async () => (await import("./delivery.js")).deliveryView],
  endpoints: ["endpoints", async () => (await import("./endpoints.js")).endpointsView],
  endpoint: ["endpoints", async () => (await import("./endpoint.js")).endpointView],
  events: ["events", async () => (await import("./events.js")).eventsView],
  event: ["events", async () => (await import("./event.js")).eventView],
  types: ["types", async () => (await import("./types.js")).typesView],
  operators: ["operators", async () => (await import("./operator.js")).operatorView],
};
const ABOUT_ONE = ["delivery", "endpoint", "event"];

const read = new Map();
let forms;

const nameOf = ({ view, id }) =>
  VIEWS[view] && (id || !ABOUT_ONE.includes(view)) ? view : "deliveries";

/** A view that is being read, or cannot be. */
const waiting = (tab, error) => ({
  title: "Webhooks",
  tab,
  open() {},
  asks: () => ({}),
  draw: () =>
    error
      ? failed({ message: "Is this machine online?" }, "The page cannot be read.", () =>
          location.reload(),
        )
      : loading(),
});

function viewOf(route) {
  const name = nameOf(route);
  const [tab] = VIEWS[name];
  return read.get(name) ?? waiting(tab);
}

/** Reads a view's code, and says what it needs if it is still in front. */
async function enter(route) {
  if (state.ended) return;
  const name = nameOf(route);
  const [tab, how] = VIEWS[name];
  if (!read.has(name)) {
    const view = await how().catch((error) => waiting(tab, error));
    read.set(name, view);
  }
  if (route !== state.route || state.ended) return;
  read.get(name).open(route);
  change({});
  lookNow();
}

/** The open dialog's content; its code is read when the first one is opened. */
function dialogContent() {
  if (!state.dialog) return nothing;
  if (forms) return forms.dialogContent();
  const fail = () => say("The page cannot be read. Is this machine online?");
  import("./forms.js").then((code) => {
    forms = code;
    draw();
  }, fail);
  return nothing;
}

function ended({ message }) {
  const isExpired = /expired/.test(message);
  const hasNone = bearer() === undefined;
  const title = isExpired
    ? "This link has expired"
    : hasNone
      ? "This page opens only with a link"
      : "This link is not valid";
  return html`<div class="empty card">
    <h1>${title}</h1>
    <p>Go back to the application you came from and open your webhooks there again: it gives you a new link.
      ${hasNone ? "This tab was opened by its address alone, or in another browser: a link belongs to the tab in which it was opened." : nothing}</p>
    ${isExpired || hasNone ? nothing : html`<p class="soft">${message}</p>`}
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

/** How live the page is: [word, whether all is well]. */
function liveness() {
  const { live, ended: isOver } = state;
  if (isOver) return ["ended", false];
  if (live === undefined) return ["connecting", false];
  if (!live) return ["trying again", false];
  return isDown() ? ["webhooks are delayed", false] : ["live", true];
}

function page() {
  const { route, said, failing } = state;
  const view = viewOf(route);
  const many = failing?.endpoints ?? 0;
  const tab = (name, label, badge = nothing) =>
    html`<a href=${href(name)} aria-current=${view.tab === name ? "page" : nothing}>${label}${badge}</a>`;
  const badge =
    many > 0
      ? html` <span class="badge">${number(many)}<span class="hidden"> failing</span></span>`
      : nothing;
  const [word, isWell] = liveness();
  return html`
    <a class="skip" href="#main" @click=${skip}>Skip to content</a>
    <header class="bar">
      <div class="within">
        <span class="brand"><img src="/portal/icon.svg" alt="" width="24" height="24">Webhooks</span>
        <nav aria-label="Sections">
          ${tab("deliveries", "Deliveries")}
          ${tab("endpoints", "Endpoints", badge)}
          ${tab("events", "Events")}
          ${tab("types", "Types")}
          ${claims().isOperator ? tab("operators", "All owners") : nothing}
        </nav>
        <div class="session">
          ${session()}
          <span class="live" role="status" data-live=${isWell}>${word}</span>
        </div>
      </div>
    </header>
    <main id="main" tabindex="-1" class="within">${state.ended ? ended(state.ended) : html`${roundNote()}${view.draw(route)}`}</main>
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

let isDrawing = false;
let isAgain = false;

function draw() {
  // To remove the focused element is a blur, whose handler may change what is being drawn.
  if (isDrawing) {
    isAgain = true;
    return;
  }
  isDrawing = true;
  try {
    render(page(), root);
  } finally {
    isDrawing = false;
  }
  if (isAgain) {
    isAgain = false;
    queueMicrotask(draw);
  }
  const dialog = root.querySelector("dialog");
  const kind = state.ended || !forms ? undefined : state.dialog?.kind;
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
  document.title = `${state.ended ? "Ended" : viewOf(state.route).title} · Webhooks`;
}

/** Where each address was scrolled to, so that Back finds the place again. */
const places = new Map();

async function go() {
  const isNew = takeToken();
  if (isNew) {
    forget();
    forgetLists();
  }
  const was = state.route;
  const route = routeOf(location.hash);
  const isMoved = route.view !== was.view || route.id !== was.id;
  if (isMoved) places.set(`${was.view}/${was.id}`, scrollY);
  leave();
  change({ route, ...(isMoved ? { pointed: undefined } : {}) });
  await enter(route);
  if (!isMoved || route !== state.route) return;
  // Back in a list, the focus is on what was opened from it.
  const from = document.getElementById(`row-${was.id}`);
  scrollTo(0, from ? (places.get(`${route.view}/${route.id}`) ?? 0) : 0);
  (from ?? document.getElementById("main")).focus({ preventScroll: true });
}

setUp(draw, lookSoon);
setView(() => viewOf(state.route).asks(state.route));
addEventListener("hashchange", () => void go());
document.addEventListener("visibilitychange", () => void look());
takeToken();
state.route = routeOf(location.hash);
draw();
void enter(state.route);
