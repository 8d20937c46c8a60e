// Sending many again: what failed since a time, of one endpoint or of all; how many before, how far after.
import { ask } from "./api.js";
import { closeDialog, frame, openDialog } from "./dialog.js";
import { count, exact, number } from "./format.js";
import { parametersOf } from "./lists.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { choice, note } from "./parts.js";
import { lookAgain } from "./poll.js";
import { endpoints, nameOf } from "./records.js";
import { href } from "./route.js";
import { act, change, state } from "./store.js";

const SINCE = [
  ["1h", "the last hour"],
  ["24h", "the last 24 hours"],
  ["7d", "the last 7 days"],
  ["", "the beginning of the log"],
];
/** How often it is read how many of them arrived. */
const FOLLOW_MS = 3_000;

/** Runs a call that takes up to 1,000 at a time to its end; `each` gets the sum so far, and may end it with false. */
async function inRounds(body, each) {
  let sum = 0;
  let cursor;
  do {
    const done = await act("POST", "/delivery/resend", { ...body, ...(cursor ? { cursor } : {}) });
    sum += done.resent;
    cursor = done.cursor;
    if (each(sum) === false) return sum;
  } while (cursor !== undefined);
  return sum;
}

/** Asks which to send again; `query`: the filter of the list in front. */
export function openResend({ status, endpoint = "", since = "24h" } = {}) {
  const isSpan = SINCE.some(([value]) => value === since);
  openDialog("resend", {
    filter: { endpoint, since, status: status === "dead" ? "dead" : "failed" },
    times: isSpan ? SINCE : [[since, exact(since)], ...SINCE],
  });
  void countThem();
}

/** What the dialog's filter asks of the API, fixed at this moment: the count and the round are of the same ones. */
const bodyOf = (filter) => parametersOf(filter);

async function countThem() {
  const body = bodyOf(state.dialog.filter);
  const mine = { ...state.dialog, body, found: undefined, error: undefined };
  change({ dialog: mine });
  const isCurrent = () => state.dialog?.body === body;
  const set = (patch) => isCurrent() && change({ dialog: { ...state.dialog, ...patch } });
  try {
    const found = await inRounds({ ...body, dry_run: true }, isCurrent);
    set({ found });
  } catch (error) {
    set({ error: error.message });
  }
}

const choose = (patch) => {
  change({ dialog: { ...state.dialog, filter: { ...state.dialog.filter, ...patch } } });
  void countThem();
};

async function send() {
  const { body, found, filter } = state.dialog;
  const round = {
    body,
    filter,
    total: found,
    queued: 0,
    left: undefined,
    failed: 0,
    isQueued: false,
  };
  closeDialog();
  change({ round });
  try {
    const total = await inRounds(body, (queued) => {
      change({ round: { ...state.round, queued, total: Math.max(queued, state.round.total) } });
    });
    change({ round: { ...state.round, total, queued: total, isQueued: true } });
    await lookAgain();
    void follow();
  } catch (error) {
    change({ round: { ...state.round, error: error.message } });
  }
}

/** Reads how many of a round are still on their way, and how many failed again, until none is. */
async function follow() {
  const { round } = state;
  if (!round?.isQueued || round.isOver) return;
  if (document.visibilityState === "visible") {
    try {
      const { left, failed, isCapped } = await progressOf(round);
      if (state.round?.body !== round.body) return;
      change({ round: { ...state.round, left, failed, isCapped, isOver: left === 0 } });
    } catch {
      // The next one tells.
    }
  }
  setTimeout(follow, FOLLOW_MS);
}

async function progressOf({ body }) {
  const { pending, sending } = await ask("GET", "/event/summary");
  const { resent } = await ask("POST", "/delivery/resend", { ...body, dry_run: true });
  // Counts of the summary stop at 1,000.
  return {
    left: pending + sending,
    failed: resent,
    isCapped: pending >= 1_000 || sending >= 1_000,
  };
}

/** How far the round is; nothing if there was none. */
export function roundNote() {
  const { round } = state;
  if (!round) return nothing;
  const { total, queued, left, failed, isOver, isQueued, isCapped, error } = round;
  const close = html`<button type="button" @click=${() => change({ round: undefined })}>Close</button>`;
  if (error) {
    return note(
      "bad",
      html`<strong>${number(queued)} of ${number(total)} queued, then it stopped.</strong> ${error} Those that are queued are sent; resend the rest again.`,
      close,
    );
  }
  const arrived = Math.max(0, total - (left ?? total) - failed);
  const text = !isQueued
    ? `Queueing: ${number(queued)} of ${number(total)}`
    : isOver
      ? `${count(total, "delivery", "deliveries")} sent again: ${failed > 0 ? `${number(failed)} failed again` : "all arrived"}.`
      : `${count(total, "delivery", "deliveries")} queued. ${left === undefined ? "" : `${isCapped ? "More than " : ""}${number(left)} on their way${failed > 0 ? `, ${number(failed)} failed again` : ""}.`}`;
  return html`<div class="note round" data-tone=${isOver && failed > 0 ? "bad" : isOver ? "good" : "info"}>
    <p role="status">${text}</p>
    ${isOver ? nothing : html`<progress max=${total} .value=${isQueued ? arrived : queued} aria-label="Progress"></progress>`}
    ${failed > 0 ? html`<a class="button" href=${href("deliveries", undefined, { status: round.filter.status, endpoint: round.filter.endpoint })}>Show them</a>` : nothing}
    ${close}
  </div>`;
}

/** The dialog. */
export function resendDialog({ filter, times, found, error }) {
  const many =
    found === undefined
      ? ""
      : count(found, `${filter.status} delivery`, `${filter.status} deliveries`);
  const where = filter.endpoint ? ` to ${nameOf(filter.endpoint)}` : "";
  return frame({
    title: "Resend what failed",
    work: send,
    button: found > 0 ? `Resend ${number(found)}` : "Resend",
    isReady: found > 0,
    content: html`
      <div class="choices">
        ${choice(
          "Which",
          filter.status,
          [
            ["failed", "failed: the receiver never accepted them"],
            ["dead", "dead: given up before they got there"],
          ],
          (status) => choose({ status }),
        )}
        ${choice("Endpoint", filter.endpoint, [["", "all endpoints"], ...(endpoints() ?? []).map(({ id, name }) => [id, name])], (endpoint) => choose({ endpoint }))}
        ${choice("Since", filter.since, times, (since) => choose({ since }))}
      </div>
      <p role="status" class="found">${error ? nothing : found === undefined ? "Counting …" : found === 0 ? `There is none${where} in that time.` : html`<strong>${many}</strong>${where} will be sent again, each with its own event id: a receiver that already has one recognizes it by that.`}</p>`,
  });
}
