// For operators: who is failing, what waits, and how the service itself is. No contents.
import { brief } from "./endpoints.js";
import { count, exact, number, relative, span } from "./format.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { code, facts, failed, loading, note, pill, section } from "./parts.js";
import { answer, answeredAt, failure, load, need } from "./store.js";
import { endpointPill, lastAnswer, toneOf } from "./words.js";

const HEALTH = "/health?deep";
const FAILING = "/endpoint?owner=*&failing=true&limit=100";
const LOST = "/delivery?owner=*&status=failed&limit=50";
const PATHS = [HEALTH, FAILING, LOST];
/** How often they are read anew. */
const EVERY_MS = 30_000;

const capped = (value) => (value >= 1_000 ? `${number(value)} or more` : number(value));

function health({
  status,
  d1,
  kv,
  convoy,
  backlog,
  lost_last_day: lost,
  unprojected,
  breaker,
  breaker_until: until,
  walk_lag_ms: lag,
  last_run: run,
}) {
  const answers = Object.entries({ D1: d1, KV: kv, Convoy: convoy }).filter(
    ([, said]) => said !== "ok",
  );
  return html`
    ${status === "ok" ? nothing : note("bad", html`<strong>Degraded.</strong> ${answers.map(([name, said]) => `${name}: ${said}. `)}`)}
    ${breaker === "open" ? note("bad", html`<strong>The breaker is open:</strong> the gateway takes nothing${until ? `, and asked to be left alone until ${exact(until)}` : ""}.`) : nothing}
    ${lost > 0 ? note("bad", html`<strong>${capped(lost)} deliveries failed or died in the last day.</strong>`) : nothing}
    ${section(
      "health",
      "The service",
      html`<div class="padded">${facts([
        ["Breaker", breaker],
        [
          "Pending",
          backlog &&
            `${capped(backlog.pending)}${backlog.oldest_pending_ms === null ? "" : `, the oldest for ${span(backlog.oldest_pending_ms)}`}`,
        ],
        ["Sending", backlog && capped(backlog.sending)],
        ["Held", backlog && capped(backlog.held)],
        ["Failed", backlog && capped(backlog.failed)],
        ["Dead", backlog && capped(backlog.dead)],
        [
          "Why they wait",
          backlog?.errors
            .map(({ error, deliveries }) => `${error} (${number(deliveries)})`)
            .join("; "),
        ],
        ["Not in KV yet", unprojected && count(unprojected.changes, "change")],
        ["The walk is behind by", lag === null ? "" : span(lag)],
      ])}</div>`,
    )}
    ${run ? section("cron", "The cron's last run", html`<div class="padded stack">${code("Report of the last run", JSON.stringify(run, null, 2))}</div>`) : nothing}
  `;
}

function failing(data) {
  return html`<ul class="list">${data.map((endpoint) => {
    const [tone, word] = endpointPill(endpoint);
    return html`<li class="entry"><div class="row endpoint">
      <span class="main"><strong>${endpoint.owner}</strong><span class="url">${endpoint.host}, ${endpoint.id}</span><span class="answer wrap" data-tone="bad">${brief(endpoint)}</span></span>
      ${pill(tone, word)}
    </div></li>`;
  })}</ul>`;
}

const lost = (data) =>
  html`<ol class="list">${data.map(
    (one) => html`<li class="entry"><div class="row delivery">
    ${pill(toneOf(one.status), one.status)}
    <span class="main"><span class="about">${one.owner}</span><span class="soft"><span class="type">${one.event_type}</span> ${one.endpoint_id}</span></span>
    <span class="answer" data-tone="bad">${lastAnswer(one)}</span>
    <span class="soft tries">${count(one.attempts, "try", "tries")}</span>
    <time class="soft time" datetime=${one.created_at} title=${exact(one.created_at)}>${relative(one.created_at)}</time>
  </div></li>`,
  )}</ol>`;

/** The part of a list; what it lacks is said. */
function part(at, id, title, draw) {
  const known = answer(at);
  const content =
    known?.data.length === 0
      ? html`<p class="soft padded">None.</p>`
      : known
        ? draw(known.data)
        : failure(at)
          ? nothing
          : loading();
  return section(
    id,
    title,
    html`${failed(failure(at), "It cannot be shown.", () => void load(at))}${content}`,
  );
}

/** The view. */
export const operatorView = {
  title: "Operators",
  tab: "operators",
  open: () => need(...PATHS),
  asks: () => ({
    onNews() {
      if (Date.now() - answeredAt(HEALTH) > EVERY_MS) for (const at of PATHS) void load(at);
    },
  }),
  draw() {
    // Degraded is a 503 with everything in it.
    const known = answer(HEALTH) ?? failure(HEALTH)?.body;
    return html`
      <header class="head"><h1>All owners</h1></header>
      ${known?.d1 ? health(known) : failed(failure(HEALTH), "The service's health cannot be shown.", () => void load(HEALTH))}
      ${known?.d1 || failure(HEALTH) ? nothing : loading()}
      ${part(FAILING, "failing", "Failing endpoints", failing)}
      ${part(LOST, "lost", "Failed deliveries", lost)}
    `;
  },
};
