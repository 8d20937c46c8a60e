// The catalogue of event types, each with the body that it sends.
import { html } from "./lit-html/lit-html.js";
import { code, copyButton, failed, loading, section } from "./parts.js";
import { TYPES, types } from "./records.js";
import { failure, load, need } from "./store.js";

/** The view. */
export const typesView = {
  title: "Event types",
  tab: "types",
  open: () => need(TYPES),
  asks: () => ({}),
  draw() {
    const error = failure(TYPES);
    return html`
      <header class="head"><h1>Event types</h1></header>
      <p class="soft">What can be sent to your endpoints. An endpoint takes all of them, or those that you choose when you edit it.</p>
      ${failed(error, "The types cannot be shown.", () => void load(TYPES))}
      ${types() || error ? "" : loading()}
      ${(types() ?? []).map(({ type, description, body }, index) => {
        const text = JSON.stringify(body, null, 2);
        return section(
          `type-${index}`,
          html`<span class="type" data-type=${type}>${type}</span>`,
          html`<div class="padded stack"><p>${description}</p>${code(`Body of ${type}`, text)}</div>`,
          copyButton("Copy", `the body of ${type}`, text),
        );
      })}
    `;
  },
};
