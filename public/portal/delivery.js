// One delivery: what was sent, each try with the receiver's answer, and what comes next.
import { path } from "./api.js";
import { statusPill, titleOf } from "./deliveries.js";
import { exact, number, took, upcoming } from "./format.js";
import { deliveryOf, learn } from "./lists.js";
import { html, nothing } from "./lit-html/lit-html.js";
import {
  code,
  copyButton,
  facts,
  failed,
  headers,
  loading,
  missing,
  note,
  section,
} from "./parts.js";
import { nameOf, needNames } from "./records.js";
import { href } from "./route.js";
import { serviceNote } from "./service.js";
import { answer, failure, load, need, press } from "./store.js";
import { isFinal, meaningOf, outcome, toneOf } from "./words.js";

const at = (id) => path("delivery", id);

/** The delivery as last heard of, with its details if they are known. */
function known(id) {
  const detail = answer(at(id));
  const summary = deliveryOf(id);
  return detail || summary ? { ...detail, ...summary, detail } : undefined;
}

async function read(id) {
  await load(at(id));
  const { body, attempts_made: made, attempts_error: why, ...summary } = answer(at(id)) ?? {};
  if (summary.id) learn([summary]);
}

async function sendAgain(id) {
  const done = await press(
    "POST",
    path("delivery", id, "resend"),
    undefined,
    () => "Sent again, with the same event id",
  );
  if (done) learn([done.delivery]);
  await read(id);
}

function attempt(one, index) {
  const isGood = one.http_status >= 200 && one.http_status < 300 && !one.error;
  return html`<li class="attempt">
    <p>
      <span class="soft">${number(index + 1)}</span>
      <span class="outcome" data-tone=${isGood ? "good" : "bad"}>${outcome(one)}</span>
      <span class="soft">${exact(one.at)}${one.took_ms === null ? "" : `, took ${took(one.took_ms)}`}</span>
    </p>
    ${one.error && one.http_status ? html`<p class="reason">${one.error}</p>` : nothing}
    ${one.response ? code(`Answer to try ${index + 1}`, one.response) : nothing}
    ${headers("Headers of the answer", one.response_headers)}
  </li>`;
}

function attempts(id, { detail, status }) {
  if (!detail) return failure(at(id)) ? nothing : loading();
  const { attempts_made: made, attempts_error: why } = detail;
  if (made === null) {
    return note(
      "waiting",
      html`<strong>The tries cannot be shown at the moment.</strong> The service that sends webhooks does not say: ${why}`,
      html`<button type="button" @click=${() => void read(id)}>Try again</button>`,
    );
  }
  if (made.length === 0) {
    return html`<p class="soft padded">${status === "pending" || status === "held" ? "Not sent yet." : "None is known."}</p>`;
  }
  return html`<ol class="attempts" reversed>${made.map(attempt).reverse()}</ol>`;
}

function sent({ detail }) {
  if (!detail) return nothing;
  const text = JSON.stringify(detail.body, null, 2);
  const last = detail.attempts_made?.at(-1);
  return section(
    "sent",
    "What is sent",
    html`<div class="padded stack">${code("Body", text)}${last ? headers("Headers", last.request_headers) : nothing}</div>`,
    copyButton("Copy", "the body", text),
  );
}

/** The address of the list that one came from. */
const back = ({ query: { from = "" } }) => {
  const { view = "deliveries", id, ...query } = Object.fromEntries(new URLSearchParams(from));
  return href(view, id, query);
};

function actions(id, delivery) {
  const final = isFinal(delivery);
  return html`<div class="actions">
    <button
      type="button" class="primary" aria-disabled=${final ? nothing : "true"}
      aria-describedby=${final ? nothing : "meaning"} @click=${() => final && void sendAgain(id)}
    >Send again</button>
    <a class="button" href=${href("event", delivery.event_id)}>Show the event</a>
    <a class="button" href=${href("endpoint", delivery.endpoint_id)}>Show the endpoint</a>
    ${copyButton("Copy id", "the delivery's id", id)}
  </div>`;
}

/** The view. */
export const deliveryView = {
  title: "Delivery",
  tab: "deliveries",
  open({ id }) {
    needNames();
    need(at(id));
    if (answer(at(id))) void read(id);
  },
  asks({ id }) {
    const delivery = known(id);
    return {
      watched: delivery && !isFinal(delivery) ? [delivery] : [],
      onNews({ watched }) {
        const seen = watched.find((one) => one.id === id);
        if (!seen) return;
        const { detail } = known(id);
        const isSame = ({ status, attempts: tried, next_try_at: next }) =>
          status === seen.status && tried === seen.attempts && next === seen.next_try_at;
        if (!detail || !isSame(detail)) void read(id);
      },
    };
  },
  draw(route) {
    const { id } = route;
    const delivery = known(id);
    const error = failure(at(id));
    const up = html`<a class="back" href=${back(route)}>‹ Deliveries</a>`;
    if (!delivery || error?.status === 404) {
      if (error?.status === 404) {
        return html`${up}${missing("There is no such delivery", "It may have left the log, or belong to someone else.", href("deliveries"), "All deliveries")}`;
      }
      return html`${up}${error ? failed(error, "The delivery cannot be shown.", () => void read(id)) : loading()}`;
    }
    const { status, next_try_at: next, error: why } = delivery;
    const isDue = next && (status === "sending" || (status === "pending" && why));
    const due = isDue ? ` Next try: ${upcoming(next)}.` : "";
    return html`
      ${up}
      <header class="head">
        <h1><span class="type" data-type=${delivery.event_type}>${delivery.event_type}</span> <span class="about">${titleOf(delivery)}</span></h1>
        ${statusPill(delivery)}
      </header>
      ${serviceNote()}
      ${failed(error, "This may be out of date.", () => void read(id))}
      <div class="note" data-tone=${toneOf(status)} role="status"><p id="meaning">${meaningOf(delivery)}${due}</p></div>
      ${actions(id, delivery)}
      ${section("tries", "Tries", attempts(id, delivery))}
      ${sent(delivery)}
      <section class="card padded" aria-label="About the delivery">
        ${facts([
          [
            "Endpoint",
            html`<a href=${href("endpoint", delivery.endpoint_id)}>${nameOf(delivery.endpoint_id)}</a>`,
          ],
          [
            "Event",
            html`<a href=${href("event", delivery.event_id)}><code>${delivery.event_id}</code></a>`,
          ],
          ["Sequence", number(delivery.sequence)],
          ["Created", exact(delivery.created_at)],
          ["Finished", delivery.finished_at && exact(delivery.finished_at)],
          ["Sent again", delivery.resends > 0 ? `${number(delivery.resends)} times` : ""],
          ["Delivery", html`<code>${id}</code>`],
        ])}
      </section>
    `;
  },
};
