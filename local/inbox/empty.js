// The empty inbox: the tutorial's two commands, the second with the endpoint's id once there is one.
import { code, copyButton } from "./detail.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { tutorialCurls } from "./snippets.js";
import { isFiltered, state } from "./view.js";

const command = (text, title, note, what) => html`<section class="command">
  <header><h3>${title}</h3>${copyButton("Copy", what, () => text)}</header>
  ${code(title, text)}
  ${note ? html`<p class="about">${note}</p>` : nothing}
</section>`;

function content() {
  if (isFiltered()) {
    return html`<p class="title">Nothing matches this search and these filters.</p>`;
  }
  if (!state.settings) return nothing;
  const { worker_url: workerUrl, endpoint_id: endpointId } = state.settings;
  const [first, second] = tutorialCurls(workerUrl, endpointId);
  return html`
    <h2 class="title">No deliveries yet</h2>
    <p class="about">Run these two commands; the webhook then appears here.</p>
    ${command(first, "1. Create an endpoint", nothing, "the first command")}
    ${command(
      second,
      "2. Add a todo",
      endpointId
        ? "It uses the newest endpoint."
        : "Replace ENDPOINT_ID with the Endpoint ID that the first command returns; this page does so for you once the endpoint exists.",
      "the second command",
    )}`;
}

/** What is shown in place of an empty list. */
export const empty = () =>
  html`<div id="empty" class="empty" ?hidden=${state.deliveries.length > 0}>${content()}</div>`;
