// One event: what happened, and what became of it for each endpoint.
import { path } from "./api.js";
import { statusPill } from "./deliveries.js";
import { aboutOf } from "./events.js";
import { exact, number } from "./format.js";
import { deliveryOf, learn } from "./lists.js";
import { html, nothing } from "./lit-html/lit-html.js";
import {
  code,
  copyButton,
  empty,
  facts,
  failed,
  loading,
  missing,
  note,
  pill,
  section,
} from "./parts.js";
import { nameOf, needNames } from "./records.js";
import { href } from "./route.js";
import { serviceNote } from "./service.js";
import { answer, failure, load, need, press } from "./store.js";
import { isFinal, lastAnswer, toneOf } from "./words.js";

const at = (id) => path("event", id);

const MEANINGS = {
  none: "No endpoint wanted it when it happened, so it was not sent.",
  delivered: "Every endpoint that wanted it has it.",
};

function meaningOf({ status, deliveries }) {
  const lost = deliveries.filter((one) => one.status === "failed" || one.status === "dead").length;
  if (lost > 0)
    return `${number(lost)} of ${number(deliveries.length)} deliveries did not arrive. Fix the receiver, then send it again.`;
  return MEANINGS[status] ?? "Not every endpoint that wants it has it yet.";
}

const deliveriesOf = (event) => event.deliveries.map((one) => deliveryOf(one.id) ?? one);

async function read(id) {
  await load(at(id));
  learn(answer(at(id))?.deliveries ?? []);
}

async function replay(id) {
  const done = await press(
    "POST",
    path("event", id, "replay"),
    undefined,
    () => "Sent again, with the same event id",
  );
  if (done) learn(done.deliveries);
  await read(id);
}

function line(delivery, eventId) {
  return html`<li class="entry">
    <a class="row delivery" id="row-${delivery.id}" href=${href("delivery", delivery.id, { from: `view=event&id=${eventId}` })}>
      ${statusPill(delivery)}
      <span class="main"><span class="about">${nameOf(delivery.endpoint_id)}</span></span>
      <span class="answer" data-tone=${isFinal(delivery) ? toneOf(delivery.status) : "waiting"}>${lastAnswer(delivery)}</span>
    </a>
  </li>`;
}

/** The view. */
export const eventView = {
  title: "Event",
  tab: "events",
  open({ id }) {
    needNames();
    need(at(id));
    if (answer(at(id))) void read(id);
  },
  asks({ id }) {
    const event = answer(at(id));
    const open = event ? deliveriesOf(event).filter((one) => !isFinal(one)) : [];
    return {
      watched: open.slice(0, 25),
      onNews({ changed }) {
        if (changed && open.length > 0) void read(id);
      },
    };
  },
  draw({ id }) {
    const event = answer(at(id));
    const error = failure(at(id));
    const back = html`<a class="back" href=${href("events")}>‹ Events</a>`;
    if (!event) {
      return error?.status === 404
        ? html`${back}${missing("There is no such event", "Old events leave the log; reads are never in it. Or it belongs to someone else.", href("events"), "All events")}`
        : html`${back}${error ? failed(error, "The event cannot be shown.", () => void read(id)) : loading()}`;
    }
    const deliveries = deliveriesOf(event);
    const canReplay = deliveries.some(isFinal);
    const text = JSON.stringify(event.data, null, 2);
    return html`
      ${back}
      <header class="head">
        <h1><span class="type" data-type=${event.type}>${event.type}</span> <span class="about">${aboutOf(event)}</span></h1>
        ${pill(toneOf(event.status), event.status === "none" ? "not sent" : event.status)}
      </header>
      ${serviceNote()}
      ${failed(error, "This may be out of date.", () => void read(id))}
      ${note(toneOf(event.status), meaningOf({ ...event, deliveries }))}
      <div class="actions">
        <button type="button" class="primary" aria-disabled=${canReplay ? nothing : "true"} @click=${() => canReplay && void replay(id)}>${deliveries.some(({ status }) => status === "failed" || status === "dead") ? "Send what failed again" : "Send again"}</button>
        ${copyButton("Copy id", "the event's id", id)}
      </div>
      ${section("deliveries", "Deliveries", deliveries.length === 0 ? empty("None", MEANINGS.none) : html`<ol class="list">${deliveries.map((one) => line(one, id))}</ol>`)}
      ${event.data === null ? nothing : section("data", "Data", html`<div class="padded stack">${code("Data of the event", text)}</div>`, copyButton("Copy", "the data", text))}
      <section class="card padded" aria-label="About the event">
        ${facts([
          ["Event", html`<code>${event.id}</code>`],
          ["Sequence", number(event.sequence)],
          ["Happened", exact(event.occurred_at)],
          ["Resource", event.resource && `${event.resource} ${event.resource_id}`],
          ["Change", event.change],
        ])}
      </section>
    `;
  },
};
