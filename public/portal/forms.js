// The dialogs: a new endpoint, a change, another secret, a removal, a replay of many.
import { path } from "./api.js";
import { count, exact } from "./format.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { copyButton } from "./parts.js";
import { SNIPPETS } from "./snippets.js";
import { act, change, copy, say, state } from "./store.js";

const HOUR_MS = 3_600_000;
/** The API's default overlap of the old secret and the new one. */
const OVERLAP_H = 24;

/** Opens a dialog; `kind` chooses how it is drawn. */
function openDialog(kind, more = {}) {
  change({ dialog: { kind, error: undefined, details: [], busy: false, ...more } });
}

/** Closes it. */
export const closeDialog = () => change({ dialog: undefined });

/** Asks for a new endpoint. */
export const openCreate = () => openDialog("create");
/** Asks what to change about an endpoint. */
export const openEdit = (endpoint) => openDialog("edit", { endpoint });
/** Asks how long the old secret stays valid, then shows the new one. */
export const openRotate = (endpoint) => openDialog("rotate", { endpoint });
/** Asks whether to remove an endpoint. */
export const openRemove = (endpoint) => openDialog("remove", { endpoint });
/** Asks whether to replay all dead events. */
export const openReplayAll = (dead) => openDialog("replayAll", { dead });

/** Submits the dialog; an error is shown in it, beside the fields that it names. */
async function submit(event, work) {
  event.preventDefault();
  const dialog = state.dialog;
  if (dialog.busy) return;
  const form = event.currentTarget;
  const values = Object.fromEntries(
    [...new FormData(form)].map(([name, value]) => [name, String(value).trim()]),
  );
  const set = (patch) => {
    if (state.dialog?.kind === dialog.kind) change({ dialog: { ...state.dialog, ...patch } });
  };
  set({ busy: true, error: undefined, details: [] });
  try {
    await work(values);
  } catch (error) {
    if (error.status === undefined) throw error;
    set({ error: error.message, details: error.details });
    // Unfold a wrong field if it is hidden; the first wrong field gets the focus.
    const wrong = form.querySelector("[aria-invalid=true]");
    wrong?.closest("details")?.setAttribute("open", "");
    wrong?.focus();
  } finally {
    set({ busy: false });
  }
}

/** Seconds as a number, anything else ("10s", "1m30s", nonsense) as typed: the API checks it. */
const seconds = (text) => (/^\d{1,9}$/.test(text) ? Number(text) : text);

function fieldsOf({ http_timeout: timeout, secret, ...texts }) {
  return {
    ...texts,
    ...(timeout ? { http_timeout: seconds(timeout) } : {}),
    ...(secret ? { secret } : {}),
  };
}

async function create(values) {
  const { endpoint, secret } = await act("POST", "/endpoint", fieldsOf(values));
  location.hash = `#/endpoint/${encodeURIComponent(endpoint.id)}`;
  openDialog("secret", { title: `${endpoint.name} has been added`, secret });
}

async function edit(values) {
  const { endpoint } = state.dialog;
  const changed = Object.entries(fieldsOf(values)).filter(
    ([name, value]) => value !== endpoint[name],
  );
  if (changed.length > 0) {
    await act("PUT", path("endpoint", endpoint.id), Object.fromEntries(changed));
    say("Saved");
  }
  closeDialog();
}

async function rotate({ overlap_hours: hours, secret }) {
  const { endpoint } = state.dialog;
  const wanted = {
    ...(hours ? { overlap_hours: seconds(hours) } : {}),
    ...(secret ? { secret } : {}),
  };
  const made = await act("POST", path("endpoint", endpoint.id, "rotate-secret"), wanted);
  const until = exact(new Date(Date.now() + made.overlap_hours * HOUR_MS).toISOString());
  openDialog("secret", {
    title: `${endpoint.name} has a new secret`,
    secret: made.secret,
    about: `Until ${until}, webhooks are signed with both secrets: put the new one in place before then.`,
  });
}

async function remove() {
  const { endpoint } = state.dialog;
  await act("DELETE", path("endpoint", endpoint.id));
  closeDialog();
  location.hash = "#/";
  say(`${endpoint.name} has been removed`);
}

async function replayAll() {
  const { replayed } = await act("POST", "/event/replay", { state: "dead" });
  closeDialog();
  say(`${count(replayed, "event")} queued: sent within a minute`);
}

/** A labelled input, with a hint and what is wrong with its value. */
function field(name, label, { about, value = "", ...input } = {}) {
  const wrong = state.dialog.details.find((one) => one.path === name)?.message;
  const described = [wrong && `${name}-wrong`, about && `${name}-about`].filter(Boolean).join(" ");
  return html`<div class="field">
    <label for=${name}>${label}</label>
    <input
      id=${name} name=${name} .value=${value} type="text" autocomplete="off" spellcheck="false"
      ?autofocus=${input.autofocus} inputmode=${input.inputmode ?? nothing} placeholder=${input.placeholder ?? nothing}
      aria-invalid=${wrong ? "true" : nothing} aria-describedby=${described || nothing}
    >
    ${wrong ? html`<p class="wrong" data-tone="bad" id="${name}-wrong">${wrong}</p>` : nothing}
    ${about ? html`<p class="hint" id="${name}-about">${about}</p>` : nothing}
  </div>`;
}

/** A dialog's frame: title, what went wrong, buttons. */
function form(title, work, content, { button, danger = false, cautious = false }) {
  const { error, details, busy } = state.dialog;
  // Errors of a field are shown beside it.
  const general = error && (details.length === 0 ? error : "Some fields need correcting.");
  return html`<form novalidate @submit=${(event) => submit(event, work)}>
    <h2 id="dialog-title">${title}</h2>
    <div role="alert">${general ? html`<p class="note" data-tone="bad">${general}</p>` : nothing}</div>
    ${content}
    <footer>
      <button type="button" ?autofocus=${cautious} @click=${closeDialog}>Cancel</button>
      <button type="submit" class=${danger ? "danger filled" : "primary"} aria-disabled=${busy ? "true" : nothing}>${busy ? "One moment …" : button}</button>
    </footer>
  </form>`;
}

const ownSecret = () => html`<details class="more">
  <summary>Choose your own secret</summary>
  ${field("secret", "Secret", { about: "Leave it empty to get a strong one." })}
</details>`;

const endpointFields = (endpoint = {}) => html`
  ${field("name", "Name", { value: endpoint.name, autofocus: true })}
  ${field("url", "URL", { value: endpoint.url, inputmode: "url", placeholder: "https://example.com/webhooks", about: "It gets a POST for each event and must answer 2xx once it has stored it." })}
  ${field("description", "Description", { value: endpoint.description })}
  ${field("http_timeout", "Timeout", { value: endpoint.http_timeout ? String(endpoint.http_timeout) : "", placeholder: "10", about: "Seconds it may take to answer. The service may keep its own value; the endpoint shows which applies." })}
`;

function secretDialog({ title, about, secret, language = Object.keys(SNIPPETS)[0] }) {
  return html`
    <h2 id="dialog-title">${title}</h2>
    <p>Its webhooks are signed with this secret. <strong>It is shown only once</strong>: store it where your receiver can
      read it. If you lose it, rotate it.</p>
    <p class="secret"><code id="new-secret">${secret}</code>
      <button type="button" class="primary" autofocus @click=${() => copy(secret, "the secret")}>Copy secret</button></p>
    ${about ? html`<p class="note" data-tone="waiting">${about}</p>` : nothing}
    <header class="cardhead">
      <h3>Use it to check each webhook</h3>
      <div class="tabs" role="group" aria-label="Language">
        ${Object.keys(SNIPPETS).map(
          (one) =>
            html`<button type="button" aria-pressed=${one === language} @click=${() => change({ dialog: { ...state.dialog, language: one } })}>${one}</button>`,
        )}
        ${copyButton("Copy", "the check", SNIPPETS[language])}
      </div>
    </header>
    <pre class="code" tabindex="0" aria-label="How to check a signature">${SNIPPETS[language]}</pre>
    <footer><button type="button" @click=${closeDialog}>I have stored the secret</button></footer>`;
}

const DIALOGS = {
  create: () =>
    form("Add an endpoint", create, html`${endpointFields()}${ownSecret()}`, { button: "Add" }),
  edit: ({ endpoint }) =>
    form("Edit the endpoint", edit, endpointFields(endpoint), { button: "Save" }),
  rotate: ({ endpoint }) =>
    form(
      `Rotate the secret of ${endpoint.name}?`,
      rotate,
      html`<p>A new secret is created and shown once. While the two overlap, webhooks are signed with both.</p>
        ${field("overlap_hours", "Overlap", { value: String(OVERLAP_H), inputmode: "numeric", autofocus: true, about: "Hours for which the old secret still signs: 1 to 168." })}
        ${ownSecret()}`,
      { button: "Rotate" },
    ),
  remove: ({ endpoint }) =>
    form(
      `Remove ${endpoint.name}?`,
      remove,
      html`<p>Nothing more is sent to <code>${endpoint.url}</code>, not even what is waiting. This cannot be undone.</p>`,
      { button: "Remove", danger: true, cautious: true },
    ),
  replayAll: ({ dead }) =>
    form(
      `Replay ${count(dead, "dead event")}?`,
      replayAll,
      html`<p>Each is sent again with its own event id, oldest first, up to 1,000 at a time. A receiver that already got one recognizes it by that id.</p>`,
      { button: dead === 1 ? "Replay it" : `Replay all ${dead.toLocaleString()}`, cautious: true },
    ),
  secret: secretDialog,
};

/** The content of the open dialog; nothing if none is open. */
export const dialogContent = () =>
  state.dialog ? DIALOGS[state.dialog.kind](state.dialog) : nothing;

/**
 * Handles Escape: closes the dialog at once, not when the browser reports it closed; but a secret that is shown only
 * once must not get lost.
 */
export function onCancel(event) {
  event.preventDefault();
  if (state.dialog?.kind !== "secret") closeDialog();
}

/** Handles a close by the browser itself, which does not ask twice; by now another dialog may be open. */
export function onClose(event) {
  if (!event.currentTarget.open) closeDialog();
}
