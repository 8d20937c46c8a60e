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

/** The API's message for a failed request; nothing if there is none. */
export const failed = (error, what) =>
  error ? note("bad", html`<strong>${what}</strong> ${error.message}`) : nothing;

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

/** Shown in place of an empty list: what that means, and what to do. */
export const empty = (title, about, action = nothing) =>
  html`<div class="empty"><h2>${title}</h2><p>${about}</p>${action}</div>`;

/** The view of something that does not exist. */
export const missing = (title, about, href, label) =>
  html`<div class="empty"><h1>${title}</h1><p>${about}</p><a class="button" href=${href}>${label}</a></div>`;

/** Shown before the first answer. */
export const loading = () => html`<p class="loading">Loading …</p>`;

/** Buttons that turn a list's pages; `pages` are the cursors of those before this one. */
export function turner(pages, cursor, onturn) {
  if (pages.length === 0 && cursor === undefined) return nothing;
  return html`<nav class="turner" aria-label="Pages">
    <button type="button" ?disabled=${pages.length === 0} @click=${() => onturn(pages.slice(0, -1))}>‹ Newer</button>
    <span>Page ${pages.length + 1}</span>
    <button type="button" ?disabled=${cursor === undefined} @click=${() => onturn([...pages, cursor])}>Older ›</button>
  </nav>`;
}
