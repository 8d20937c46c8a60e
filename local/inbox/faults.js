// The fault panel: what the API and the receivers do wrong, on request.
import { putFaults } from "./api.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { change, say, state } from "./view.js";

const SIDES = [
  {
    side: "api",
    title: "Convoy's API",
    about: "what the Worker gets when it calls Convoy",
    swallow: true,
  },
  {
    side: "deliveries",
    title: "Receivers",
    about: "what Convoy gets when it delivers",
    swallow: false,
  },
];

const NUMBERS = [
  { name: "status", label: "Answer with status", min: 200, max: 599, placeholder: "e.g. 503" },
  { name: "retry_after_s", label: "Retry-After, seconds", min: 0, max: 86400, placeholder: "none" },
  { name: "latency_ms", label: "Delay, ms", min: 0, max: 60000, placeholder: "0" },
  { name: "rate", label: "Share of calls hit, %", min: 0, max: 100, placeholder: "100" },
];

const SWITCHES = [
  { name: "hang", label: "Hang: never answer" },
  { name: "drop", label: "Drop the connection" },
  { name: "swallow", label: "Swallow: answer 201, then forget" },
];

const QUEUE_SWITCHES = [
  { name: "redis_down", label: "Redis is down" },
  { name: "postgres_down", label: "Postgres is down" },
  { name: "redis_lost", label: "Redis loses its data: once, now" },
  { name: "stall", label: "Stall: nothing is processed" },
];

/** Which work is never done, and the status it then keeps. */
const STRANDED = [
  ["", "nothing"],
  ["delivery", "deliveries, Scheduled"],
  ["retry", "deliveries, Retry"],
  ["processing", "deliveries, Processing"],
  ["event", "events, Retry"],
];

function numberField(fault, { name, label, min, max, placeholder }) {
  const value = name === "rate" && fault.rate !== undefined ? fault.rate * 100 : fault[name];
  const step = name === "rate" ? "any" : "1";
  return html`<label>${label}
    <input type="number" name=${name} step=${step} min=${min} max=${max} placeholder=${placeholder} value=${value ?? ""}>
  </label>`;
}

const switchField = (fault, { name, label }) =>
  html`<label class="switch"><input type="checkbox" name=${name} ?checked=${fault[name] === true}>${label}</label>`;

function queueFields(faults) {
  const { what = "delivery", rate = 1 } = faults.strand ?? { what: "" };
  const share = { name: "rate", label: "Share stranded, %", min: 0, max: 100, placeholder: "100" };
  const race = {
    name: "race_ms",
    label: "Deliveries appear late, ms",
    min: 0,
    max: 60000,
    placeholder: "0",
  };
  return html`<fieldset data-side="queue">
    <legend>The queue</legend>
    <p class="about">what lies between an event and its delivery</p>
    <div class="numbers">
      <label>Strand <select name="what">${STRANDED.map(
        ([value, text]) =>
          html`<option value=${value} ?selected=${value === what}>${text}</option>`,
      )}</select></label>
      ${numberField({ rate: faults.strand ? rate : undefined }, share)}
      ${numberField(faults, race)}
    </div>
    ${QUEUE_SWITCHES.map((field) => switchField(faults, field))}
  </fieldset>`;
}

function readQueue(fieldset) {
  const { rate, ...fault } = inputsOf(fieldset);
  const what = fieldset.querySelector("select").value;
  const share = rate === undefined ? {} : { rate };
  return what === "" ? fault : { ...fault, strand: { what, ...share } };
}

const sides = (faults) =>
  SIDES.map(({ side, title, about, swallow }) => {
    const fault = side === "api" ? faults : (faults.deliveries ?? {});
    return html`<fieldset data-side=${side}>
      <legend>${title}</legend>
      <p class="about">${about}</p>
      <div class="numbers">${NUMBERS.map((field) => numberField(fault, field))}</div>
      ${SWITCHES.filter(({ name }) => swallow || name !== "swallow").map((field) => switchField(fault, field))}
    </fieldset>`;
  });

function inputsOf(fieldset) {
  const fault = {};
  for (const input of fieldset.querySelectorAll("input")) {
    if (input.type === "checkbox") {
      if (input.checked) fault[input.name] = true;
    } else if (input.value !== "") {
      fault[input.name] = input.name === "rate" ? Number(input.value) / 100 : Number(input.value);
    }
  }
  return fault;
}

function readSide(fieldset) {
  const fault = inputsOf(fieldset);
  // A share alone is not a fault.
  return Object.keys(fault).some((name) => name !== "rate") ? fault : {};
}

function describe(fault) {
  const parts = [
    fault.hang && "hangs",
    fault.drop && "drops connections",
    fault.status !== undefined && `answers ${fault.status}`,
    fault.swallow && "swallows events",
    fault.latency_ms && `waits ${fault.latency_ms} ms`,
  ].filter(Boolean);
  if (parts.length === 0) return undefined;
  const share = fault.rate === undefined ? "" : ` (${Math.round(fault.rate * 100)} % of calls)`;
  return `${parts.join(", ")}${share}`;
}

function describeQueue({ redis_down, postgres_down, stall, strand, race_ms }) {
  const what = STRANDED.find(([value]) => value === (strand?.what ?? "delivery"))?.[1];
  const share = strand?.rate === undefined ? "" : `${Math.round(strand.rate * 100)} % of `;
  return [
    redis_down && "Redis is down.",
    postgres_down && "Postgres is down.",
    stall && "The queue is stalled.",
    strand && `The queue strands ${share}${what}.`,
    race_ms && `Deliveries appear up to ${race_ms} ms late.`,
  ]
    .filter(Boolean)
    .join(" ");
}

/** What is wrong at present, in words; "" if nothing is. */
const inWords = (faults) => {
  const api = describe(faults);
  const deliveries = describe(faults.deliveries ?? {});
  return [
    api && `Convoy's API ${api}.`,
    deliveries && `The receiver ${deliveries}.`,
    describeQueue(faults),
  ]
    .filter(Boolean)
    .join(" ");
};

/** Whether there are faults in force. */
export const hasFaults = () => inWords(state.faults) !== "";

/** The faults in force, above the list. */
export const trouble = () =>
  html`<p id="trouble" class="trouble" role="alert" ?hidden=${!hasFaults()}>${
    hasFaults()
      ? html`<span>${inWords(state.faults)}</span><button type="button" @click=${() => void putFaults({})}>End faults</button>`
      : nothing
  }</p>`;

async function apply(wanted, what) {
  try {
    await putFaults(wanted);
    change({ dialog: undefined });
    say(what);
  } catch (error) {
    change({ dialog: { ...state.dialog, error: error.message } });
  }
}

function submit(event) {
  event.preventDefault();
  const [api, deliveries, queue] = event.currentTarget.querySelectorAll("fieldset");
  const atReceivers = readSide(deliveries);
  const hasDeliveries = Object.keys(atReceivers).length > 0;
  const wanted = { ...readSide(api), ...readQueue(queue) };
  void apply({ ...wanted, ...(hasDeliveries ? { deliveries: atReceivers } : {}) }, "Faults set");
}

/** The panel, with the faults that were in force when it was opened. */
export const faultsDialog = ({ faults, error }) => html`<form @submit=${submit}>
  <header>
    <h2 id="dialog-title">Faults</h2>
    <button type="button" class="quiet" aria-label="Close" @click=${() => change({ dialog: undefined })}>✕</button>
  </header>
  <p class="about">They stay until you end them. They never affect the inbox itself.</p>
  <div class="sides">${sides(faults)}${queueFields(faults)}</div>
  <p class="reason" role="alert">${error ?? nothing}</p>
  <footer>
    <button type="button" @click=${() => void apply({}, "Faults ended")}>End all</button>
    <button type="submit" class="primary">Apply</button>
  </footer>
</form>`;
