// One delivery: what was sent, how its signature check turns out, and each attempt.
import { byId, copyButton, el } from "./dom.js";
import { between, pretty, time, tone, verdict } from "./format.js";
import { asCurl, asTypeScript } from "./snippets.js";

/** The chosen view of a body, kept from one delivery to the next. */
let bodyView = "pretty";

function facts(delivery) {
  const body = (() => {
    try {
      return JSON.parse(delivery.body) ?? {};
    } catch {
      return {};
    }
  })();
  const rows = [
    [
      "Endpoint",
      delivery.endpoint?.name ? `${delivery.endpoint.name} · ${delivery.url}` : delivery.url,
    ],
    ["Owner", delivery.endpoint?.owner_id],
    ["Event id", body.event_id],
    ["Sequence", body.sequence],
    ["Idempotency key", delivery.idempotency_key],
    ["Accepted", time(delivery.created_at)],
    ["First sent", delivery.received_at && time(delivery.received_at)],
    ["Next attempt", delivery.next_send_at && time(delivery.next_send_at)],
    ["Last error", delivery.error],
    ["Delivery", delivery.id],
  ];
  return el(
    "dl",
    { class: "facts" },
    rows
      .filter(([, value]) => value !== undefined && value !== null && value !== "")
      .map(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]),
  );
}

function section(title, extra, ...content) {
  return el("section", { class: "part" }, el("header", {}, el("h3", {}, title), extra), content);
}

function bodySection(delivery) {
  const code = el("pre", { class: "code", tabindex: "0", "aria-label": "Body" });
  const buttons = ["pretty", "raw"].map((view) =>
    el(
      "button",
      { type: "button", class: "quiet", onclick: () => show(view) },
      view === "pretty" ? "Pretty" : "Raw",
    ),
  );
  const show = (view) => {
    bodyView = view;
    code.textContent = view === "pretty" ? pretty(delivery.body) : delivery.body;
    for (const [at, button] of buttons.entries())
      button.setAttribute("aria-pressed", String((at === 0) === (view === "pretty")));
  };
  show(bodyView);
  const tabs = el(
    "div",
    { class: "tabs", role: "group", "aria-label": "How the body is shown" },
    buttons,
  );
  return section("Body", tabs, code);
}

function signatureSection(delivery) {
  const { word, tone: tint } = verdict(delivery.signature);
  const steps = delivery.check?.steps ?? [];
  return section(
    "Signature check",
    el("span", { class: "signature", "data-tone": tint }, word),
    delivery.signature.valid || !delivery.signature.reason
      ? null
      : el("p", { class: "reason" }, delivery.signature.reason),
    steps.length > 0 &&
      el(
        "ol",
        { class: "steps" },
        steps.map((step) =>
          el(
            "li",
            { "data-ok": String(step.ok) },
            el("span", { class: "mark" }, step.ok ? "✓" : "✗"),
            el("span", { class: "step" }, step.step),
            el("span", { class: "what" }, step.detail),
          ),
        ),
      ),
  );
}

function headerTable(headers) {
  const entries = Object.entries(headers);
  if (entries.length === 0) return el("p", { class: "none" }, "none");
  return el(
    "dl",
    { class: "headers" },
    entries.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
  );
}

function attemptItem(attempt, at, latest) {
  const outcome = attempt.status || attempt.error || "no answer";
  return el(
    "details",
    { open: latest },
    el(
      "summary",
      {},
      el("span", { class: "number" }, `${at + 1}`),
      el("span", { class: "outcome", "data-tone": attempt.ok ? "good" : "bad" }, outcome),
      el(
        "span",
        { class: "when" },
        attempt.responded_at
          ? `${time(attempt.requested_at)}, ${between(attempt.requested_at, attempt.responded_at)}`
          : time(attempt.requested_at),
      ),
    ),
    attempt.error && attempt.status ? el("p", { class: "reason" }, attempt.error) : null,
    el("h4", {}, "Answer"),
    headerTable(attempt.response_headers ?? {}),
    attempt.response_body
      ? el(
          "pre",
          { class: "code", tabindex: "0", "aria-label": "Body of the answer" },
          attempt.response_body,
        )
      : null,
  );
}

function attemptSection(delivery) {
  const list = delivery.attempt_list;
  return section(
    "Attempts",
    el("span", { class: "number" }, String(list.length)),
    list.length === 0
      ? el("p", { class: "none" }, delivery.signature.reason ?? "not sent yet")
      : null,
    list.map((attempt, at) => attemptItem(attempt, at, at === list.length - 1)).reverse(),
  );
}

/** Shows a delivery. Its buttons call `onreplay` and `onclose`. */
export function showDetail(delivery, { onreplay, onclose }) {
  const pane = byId("detail");
  const sameAsBefore = pane.dataset.id === delivery.id;
  const focused = pane.contains(document.activeElement) ? document.activeElement.textContent : "";
  pane.dataset.id = delivery.id;
  pane.hidden = false;
  document.body.classList.add("with-detail");
  pane.replaceChildren(
    el(
      "header",
      { class: "head" },
      el(
        "button",
        { type: "button", class: "quiet back", onclick: onclose, "aria-label": "Close" },
        "✕",
      ),
      el(
        "h2",
        {},
        el("span", { class: "type", "data-type": delivery.event_type }, delivery.event_type),
      ),
      el("span", { class: "status", "data-tone": tone(delivery.status) }, delivery.status),
      delivery.duplicate && el("span", { class: "badge" }, "duplicate"),
      delivery.kept && el("span", { class: "badge" }, "kept here, not sent"),
      delivery.strand && el("span", { class: "badge" }, "stranded"),
    ),
    el(
      "div",
      { class: "actions" },
      el(
        "button",
        { type: "button", class: "primary", onclick: onreplay, "aria-keyshortcuts": "r" },
        "Replay",
      ),
      copyButton("Copy as curl", "the request as curl", () => asCurl(delivery)),
      copyButton("Copy check in TypeScript", "the check in TypeScript", () =>
        asTypeScript(delivery),
      ),
      copyButton("Copy body", "the body", () => delivery.body),
    ),
    facts(delivery),
    bodySection(delivery),
    signatureSection(delivery),
    section("Headers", null, headerTable(delivery.headers)),
    attemptSection(delivery),
  );
  // Redrawn because something arrived: keep the scroll position and the focused button.
  if (!sameAsBefore) pane.scrollTop = 0;
  else if (focused)
    [...pane.querySelectorAll("button")].find((one) => one.textContent === focused)?.focus();
}

/** Closes the pane. */
export function hideDetail() {
  byId("detail").hidden = true;
  document.body.classList.remove("with-detail");
}
