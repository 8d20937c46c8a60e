// The empty inbox: the tutorial's two commands, the second with the endpoint's id as soon as there is one.
import { fetchSettings } from "./api.js";
import { byId, copyButton, el } from "./dom.js";
import { tutorialCurls } from "./snippets.js";

function command(text, title, note, what) {
  return el(
    "section",
    { class: "command" },
    el(
      "header",
      {},
      el("h3", {}, title),
      copyButton("Copy", what, () => text),
    ),
    el("pre", { class: "code", tabindex: "0", "aria-label": title }, text),
    note && el("p", { class: "about" }, note),
  );
}

/** Shows the empty state; `filtered` says that something is there but does not match. */
export async function showEmpty(filtered) {
  const pane = byId("empty");
  pane.hidden = false;
  if (filtered) {
    pane.replaceChildren(
      el("p", { class: "title" }, "Nothing matches this search and these filters."),
    );
    return;
  }
  const settings = await fetchSettings();
  const [first, second] = tutorialCurls(settings.worker_url, settings.endpoint_id);
  pane.replaceChildren(
    el("h2", { class: "title" }, "No deliveries yet"),
    el("p", { class: "about" }, "Run these two commands; the webhook shows up here by itself."),
    command(first, "1. Create an endpoint", null, "the first command"),
    command(
      second,
      "2. Add a todo",
      settings.endpoint_id
        ? "It names the newest endpoint."
        : "Put the Endpoint ID that the first command gives in place of ENDPOINT_ID; this page does it for you once the endpoint is there.",
      "the second command",
    ),
  );
}

/** Takes it away. */
export function hideEmpty() {
  byId("empty").hidden = true;
}
