// The dialogs, read when the first one is opened: a new endpoint, a change, another secret, a removal, a test event.
import { path } from "./api.js";
import { closeDialog, field, frame, openDialog, wrongWith } from "./dialog.js";
import { exact } from "./format.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { choice, code, copyButton } from "./parts.js";
import { ENDPOINTS, types } from "./records.js";
import { resendDialog } from "./resend.js";
import { href } from "./route.js";
import { SNIPPETS } from "./snippets.js";
import { act, change, copy, followTest, load, say, state } from "./store.js";

const HOUR_MS = 3_600_000;
/** The API's default overlap of the old secret and the new one. */
const OVERLAP_H = 24;

/** A whole number as a number, anything else ("10s", "1m30s", nonsense) as typed: the API checks it. */
const numeric = (text) => (/^\d{1,9}$/.test(text) ? Number(text) : text);

/** A new header replaces the old one; without a value the old one stays, without a name it goes. */
function headersOf({ header_name: name, header_value: value }, [had] = []) {
  if (name === "") return had === undefined ? undefined : {};
  return value === "" && name === had ? undefined : { [name]: value };
}

function limitOf({ requests, per_s: seconds }) {
  if (requests === "" && seconds === "") return null;
  return { requests: numeric(requests), per_s: numeric(seconds) };
}

/** The fields that differ from what an endpoint has, as the API takes them. */
function changesOf(values, data, had) {
  const { name, url, description, http_timeout: timeout, secret } = values;
  const wanted = {
    ...{ name, url, description },
    ...(timeout ? { http_timeout: numeric(timeout) } : {}),
    event_types: state.dialog.all ? null : data.getAll("type"),
    rate_limit: limitOf(values),
  };
  const differs = ([key, value]) => JSON.stringify(value) !== JSON.stringify(had[key]);
  const headers = headersOf(values, had.header_names);
  return {
    ...Object.fromEntries(Object.entries(wanted).filter(differs)),
    ...(headers ? { headers } : {}),
    ...(secret ? { secret } : {}),
  };
}

async function create(values, data) {
  const nothingYet = { description: "", event_types: null, rate_limit: null };
  const { name, url } = values;
  const body = { name, url, ...changesOf(values, data, nothingYet) };
  const { endpoint, secret } = await act("POST", "/endpoint", body);
  await load(ENDPOINTS);
  location.hash = href("endpoint", endpoint.id);
  openDialog("secret", { title: `${endpoint.name} has been added`, secret });
}

async function edit(values, data) {
  const { endpoint } = state.dialog;
  const changes = changesOf(values, data, endpoint);
  if (Object.keys(changes).length > 0) {
    const saved = await act("PUT", path("endpoint", endpoint.id), changes);
    say((saved.endpoint ?? saved).pending ? "Saved. It is not in force yet" : "Saved");
  }
  closeDialog();
}

async function rotate({ overlap_hours: hours, secret }) {
  const { endpoint } = state.dialog;
  const wanted = {
    ...(hours ? { overlap_hours: numeric(hours) } : {}),
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
  location.hash = href("endpoints");
  say(`${endpoint.name} has been removed`);
}

async function test() {
  const { endpoint, type } = state.dialog;
  const sent = await act("POST", path("endpoint", endpoint.id, "test"), { type });
  followTest(endpoint.id, sent, `Test of ${type}`);
  closeDialog();
  say("Test event sent");
}

const ownSecret = () => html`<details class="more">
  <summary>Choose your own secret</summary>
  ${field("secret", "Secret", { about: "Leave it empty to get a strong one." })}
</details>`;

function typeFields(chosen) {
  const { all } = state.dialog;
  const wrong = wrongWith("event_types");
  const known = (types() ?? []).filter(({ type }) => type !== "ping");
  return html`<fieldset aria-describedby=${wrong ? "types-wrong" : nothing}>
    <legend>Event types</legend>
    <label class="check"><input type="checkbox" .checked=${all} @change=${(event) => change({ dialog: { ...state.dialog, all: event.target.checked } })}> All, also those that are added later</label>
    ${
      all
        ? nothing
        : known.map(
            ({ type, description }) =>
              html`<label class="check"><input type="checkbox" name="type" value=${type} .checked=${chosen?.includes(type) ?? false}> <span><code>${type}</code> <span class="soft">${description}</span></span></label>`,
          )
    }
    ${wrong ? html`<p class="wrong" data-tone="bad" id="types-wrong">${wrong}</p>` : nothing}
  </fieldset>`;
}

function moreFields({ header_names: [header] = [], rate_limit: limit }) {
  return html`<details class="more" ?open=${header !== undefined || Boolean(limit)}>
    <summary>A header, a rate limit</summary>
    <div class="pair">
      ${field("header_name", "Header", { value: header, placeholder: "X-Api-Key", wrong: wrongWith("headers"), about: "Sent with each webhook. Empty: none." })}
      ${field("header_value", "Its value", { about: header ? "It is not shown. Empty: it stays as it is." : "It is not shown again." })}
    </div>
    <div class="pair">
      ${field("requests", "Requests at most", { value: limit ? String(limit.requests) : "", inputmode: "numeric", wrong: wrongWith("rate_limit"), about: "Empty: no limit." })}
      ${field("per_s", "in seconds", { value: limit ? String(limit.per_s) : "", inputmode: "numeric" })}
    </div>
  </details>`;
}

const endpointFields = (endpoint = {}) => html`
  ${field("name", "Name", { value: endpoint.name, autofocus: true })}
  ${field("url", "URL", { value: endpoint.url, inputmode: "url", placeholder: "https://example.com/webhooks", about: "It gets a POST for each event and must answer 2xx once it has stored it." })}
  ${field("description", "Description", { value: endpoint.description })}
  ${field("http_timeout", "Timeout", { value: endpoint.http_timeout ? String(endpoint.http_timeout) : "", placeholder: "10", about: "Seconds it may take to answer. The service may keep its own value; the endpoint shows which applies." })}
  ${typeFields(endpoint.event_types)}
  ${moreFields(endpoint)}
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
    ${code("How to check a signature", SNIPPETS[language])}
    <footer><button type="button" @click=${closeDialog}>I have stored the secret</button></footer>`;
}

function testDialog({ endpoint, type }) {
  const all = types() ?? [];
  const body = all.find((one) => one.type === type)?.body ?? {};
  return frame({
    title: `Send a test event to ${endpoint.name}`,
    work: test,
    button: "Send",
    content: html`
      <div class="choices">${choice(
        "Type",
        type,
        all.map((one) => [one.type, one.type]),
        (value) => change({ dialog: { ...state.dialog, type: value } }),
      )}</div>
      <p class="hint">Its body says <code>"test": true</code>, so that a receiver can tell it from a real one. It changes nothing.</p>
      ${code("Body", JSON.stringify(body, null, 2))}`,
  });
}

const DIALOGS = {
  create: () =>
    frame({
      title: "Add an endpoint",
      work: create,
      button: "Add",
      content: html`${endpointFields()}${ownSecret()}`,
    }),
  edit: ({ endpoint }) =>
    frame({
      title: "Edit the endpoint",
      work: edit,
      button: "Save",
      content: endpointFields(endpoint),
    }),
  rotate: ({ endpoint }) =>
    frame({
      title: `Rotate the secret of ${endpoint.name}?`,
      work: rotate,
      button: "Rotate",
      content: html`<p>A new secret is created and shown once. While the two overlap, webhooks are signed with both.</p>
        ${field("overlap_hours", "Overlap", { value: String(OVERLAP_H), inputmode: "numeric", autofocus: true, about: "Hours for which the old secret still signs: 1 to 168." })}
        ${ownSecret()}`,
    }),
  remove: ({ endpoint }) =>
    frame({
      title: `Remove ${endpoint.name}?`,
      work: remove,
      button: "Remove",
      isDanger: true,
      isCautious: true,
      content: html`<p>Nothing more is sent to <code>${endpoint.url}</code>, not even what is waiting. This cannot be undone.</p>`,
    }),
  test: testDialog,
  resend: resendDialog,
  secret: secretDialog,
};

/** The content of the open dialog; nothing if none is open. */
export const dialogContent = () =>
  state.dialog ? DIALOGS[state.dialog.kind](state.dialog) : nothing;
