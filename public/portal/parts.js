// Small parts of the page that several views show.
import { exact, relative } from "./format.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { copy } from "./store.js";

/** A time as how long ago it was, with the exact one as its tooltip. */
export const when = (iso) =>
  html`<time datetime=${iso} title=${exact(iso)}>${relative(iso)}</time>`;

/** A word with the colour and dot of its tone. */
export const pill = (tone, word, about) =>
  html`<span class="pill" data-tone=${tone} title=${about || nothing}>${word}</span>`;

/** A note across the page, with a tone. */
export const note = (tone, content, action = nothing) =>
  html`<div class="note" data-tone=${tone}><p>${content}</p>${action}</div>`;

/** The API's message for a failed request, with a button that tries again; nothing if there is none. */
export const failed = (error, what, again) =>
  error
    ? note(
        "bad",
        html`<strong>${what}</strong> ${error.message}`,
        again ? html`<button type="button" @click=${again}>Try again</button>` : nothing,
      )
    : nothing;

/** A button that copies; if it says only "Copy", a screen reader also hears what. */
export const copyButton = (label, what, text) =>
  html`<button
    type="button"
    aria-label=${label === "Copy" ? `Copy ${what}` : nothing}
    @click=${() => copy(text, what)}
  >${label}</button>`;

/** Names and values, omitting those without a value. */
export const facts = (rows) =>
  html`<dl class="facts">
    ${rows
      .filter(([, value]) => value !== undefined && value !== null && value !== "")
      .map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}
  </dl>`;

/** A block of code or data that scrolls, by keyboard too. */
export const code = (label, text) =>
  html`<pre class="code" tabindex="0" role="region" aria-label=${label}>${text}</pre>`;

/** Headers, folded away. */
export const headers = (label, all) =>
  Object.keys(all).length === 0
    ? nothing
    : html`<details class="fold"><summary>${label}</summary>${facts(
        Object.entries(all).map(([name, value]) => [name, html`<code>${value}</code>`]),
      )}</details>`;

/** A part of a view, with its heading. */
export const section = (id, title, content, extra = nothing) =>
  html`<section class="card" aria-labelledby=${id}>
    <header class="cardhead"><h2 id=${id}>${title}</h2>${extra}</header>${content}
  </section>`;

/** Shown in place of an empty list: what that means, and what to do. */
export const empty = (title, about, action = nothing) =>
  html`<div class="empty"><h2>${title}</h2><p>${about}</p>${action}</div>`;

/** The view of something that does not exist. */
export const missing = (title, about, to, label) =>
  html`<div class="empty"><h1>${title}</h1><p>${about}</p><a class="button" href=${to}>${label}</a></div>`;

/** Shown before the first answer. */
export const loading = () => html`<p class="loading">Loading …</p>`;

/** A labelled choice; `options` are [value, label]. */
export const choice = (label, value, options, onchange) =>
  html`<label>${label}
    <select @change=${(event) => onchange(event.target.value)}>
      ${options.map(
        ([one, text]) => html`<option value=${one} .selected=${one === value}>${text}</option>`,
      )}
    </select>
  </label>`;
