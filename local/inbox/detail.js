// One delivery: what was sent, how its signature check turns out, and each attempt.
import { parsed, pretty, tone, verdict } from "./content.js";
import { between, exact, number } from "./format.js";
import { badges } from "./list.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { asCurl, asTypeScript } from "./snippets.js";
import { change, copy, state } from "./view.js";

/** A button that copies; `text` is a function, called only when needed. */
export const copyButton = (label, what, text) =>
  html`<button type="button" @click=${() => copy(text(), what)}>${label}</button>`;

/** A block of code that scrolls, by keyboard too. */
export const code = (label, text) =>
  html`<pre class="code" tabindex="0" role="region" aria-label=${label}>${text}</pre>`;

/** Names and values, omitting those without a value. */
const table = (name, rows) =>
  html`<dl class=${name}>${rows
    .filter(([, value]) => value !== undefined && value !== null && value !== "")
    .map(([key, value]) => html`<dt>${key}</dt><dd>${value}</dd>`)}</dl>`;

function facts(delivery) {
  const { event_id: eventId, sequence } = parsed(delivery.body) ?? {};
  const { endpoint, url } = delivery;
  const at = (time) => time && exact(time);
  return table("facts", [
    ["Endpoint", endpoint?.name ? `${endpoint.name} · ${url}` : url],
    ["Owner", endpoint?.owner_id],
    ["Event id", eventId],
    ["Sequence", sequence],
    ["Idempotency key", delivery.idempotency_key],
    ["Accepted", exact(delivery.created_at)],
    ["First sent", at(delivery.received_at)],
    ["Next attempt", at(delivery.next_send_at)],
    ["Last error", delivery.error],
    ["Delivery", delivery.id],
  ]);
}

const section = (title, extra, content) =>
  html`<section class="part"><header><h3>${title}</h3>${extra}</header>${content}</section>`;

function body(delivery) {
  const view = (name, label) =>
    html`<button type="button" class="quiet" aria-pressed=${state.bodyView === name} @click=${() => change({ bodyView: name })}>${label}</button>`;
  return section(
    "Body",
    html`<div class="tabs" role="group" aria-label="How the body is shown">${view("pretty", "Pretty")}${view("raw", "Raw")}</div>`,
    code("Body", state.bodyView === "pretty" ? pretty(delivery.body) : delivery.body),
  );
}

function signature({ signature: checked, check }) {
  const { word, tone: tint } = verdict(checked);
  const steps = check?.steps ?? [];
  return section(
    "Signature check",
    html`<span class="signature" data-tone=${tint}>${word}</span>`,
    html`${checked.valid || !checked.reason ? nothing : html`<p class="reason">${checked.reason}</p>`}
      ${
        steps.length === 0
          ? nothing
          : html`<ol class="steps">${steps.map(
              ({ ok, step, detail }) =>
                html`<li data-ok=${ok}><span class="mark">${ok ? "✓" : "✗"}</span><span class="step">${step}</span><span class="what">${detail}</span></li>`,
            )}</ol>`
      }`,
  );
}

const headers = (all) =>
  Object.keys(all).length === 0
    ? html`<p class="none">none</p>`
    : table("headers", Object.entries(all));

function attempt(one, at, isLatest) {
  const { requested_at: from, responded_at: to } = one;
  return html`<details ?open=${isLatest}>
    <summary>
      <span class="number">${number(at + 1)}</span>
      <span class="outcome" data-tone=${one.ok ? "good" : "bad"}>${one.status || one.error || "no answer"}</span>
      <span class="when">${exact(from)}${to ? `, ${between(from, to)}` : ""}</span>
    </summary>
    ${one.error && one.status ? html`<p class="reason">${one.error}</p>` : nothing}
    <h4>Answer</h4>
    ${headers(one.response_headers ?? {})}
    ${one.response_body ? code("Body of the answer", one.response_body) : nothing}
  </details>`;
}

function attempts({ attempt_list: all, signature: checked }) {
  return section(
    "Attempts",
    html`<span class="number">${number(all.length)}</span>`,
    all.length === 0
      ? html`<p class="none">${checked.reason ?? "not sent yet"}</p>`
      : all.map((one, at) => attempt(one, at, at === all.length - 1)).reverse(),
  );
}

/** The pane. Its buttons call `onreplay` and `onclose`. */
export function detail({ onreplay, onclose }) {
  const delivery = state.detail;
  const isOpen = delivery !== undefined && delivery.id === state.selected;
  const { event_type: type, status } = delivery ?? {};
  return html`<section id="detail" class="detail" aria-label="Delivery" tabindex="-1" ?hidden=${!isOpen}>${
    isOpen
      ? html`
        <header class="head">
          <button type="button" class="quiet back" aria-label="Close" @click=${onclose}>✕</button>
          <h2><span class="type" data-type=${type}>${type}</span></h2>
          <span class="status" data-tone=${tone(status)}>${status}</span>
          ${badges(delivery)}
        </header>
        <div class="actions">
          <button type="button" class="primary" aria-keyshortcuts="r" @click=${onreplay}>Replay</button>
          ${copyButton("Copy as curl", "the request as curl", () => asCurl(delivery))}
          ${copyButton("Copy check in TypeScript", "the check in TypeScript", () => asTypeScript(delivery))}
          ${copyButton("Copy body", "the body", () => delivery.body)}
        </div>
        ${facts(delivery)}
        ${body(delivery)}
        ${signature(delivery)}
        ${section("Headers", nothing, headers(delivery.headers))}
        ${attempts(delivery)}`
      : nothing
  }</section>`;
}
