// The empty inbox: the tutorial's two commands, the second with the endpoint's id once there is one.
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

/** Shows the empty state; `filtered`: there may be deliveries, but none match. */
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
    el("p", { class: "about" }, "Run these two commands; the webhook then appears here."),
    command(first, "1. Create an endpoint", null, "the first command"),
    command(
      second,
      "2. Add a todo",
      settings.endpoint_id
        ? "It uses the newest endpoint."
        : "Replace ENDPOINT_ID with the Endpoint ID that the first command returns; this page does so for you once the endpoint exists.",
      "the second command",
    ),
  );
}

/** Hides it. */
export function hideEmpty() {
  byId("empty").hidden = true;
}
