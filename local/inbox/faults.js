// The fault panel: what the API and the receivers do wrong, on request.
import { fetchFaults, putFaults } from "./api.js";
import { byId, el, say } from "./dom.js";

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

function numberField(fault, { name, label, ...limits }) {
  const value = name === "rate" && fault.rate !== undefined ? fault.rate * 100 : fault[name];
  return el(
    "label",
    {},
    label,
    el("input", {
      type: "number",
      name,
      step: name === "rate" ? "any" : "1",
      ...limits,
      value: value ?? "",
    }),
  );
}

function switchField(fault, { name, label }) {
  return el(
    "label",
    { class: "switch" },
    el("input", { type: "checkbox", name, checked: fault[name] === true }),
    label,
  );
}

function queueFields(faults) {
  const { what = "delivery", rate = 1 } = faults.strand ?? { what: "" };
  const options = STRANDED.map(([value, text]) =>
    el("option", { value, selected: value === what }, text),
  );
  return el(
    "fieldset",
    { "data-side": "queue" },
    el("legend", {}, "The queue"),
    el("p", { class: "about" }, "what lies between an event and its delivery"),
    el(
      "div",
      { class: "numbers" },
      el("label", {}, "Strand", el("select", { name: "what" }, options)),
      numberField(
        { rate: faults.strand ? rate : undefined },
        { name: "rate", label: "Share stranded, %", min: 0, max: 100, placeholder: "100" },
      ),
      numberField(faults, {
        name: "race_ms",
        label: "Deliveries appear late, ms",
        min: 0,
        max: 60000,
        placeholder: "0",
      }),
    ),
    QUEUE_SWITCHES.map((field) => switchField(faults, field)),
  );
}

function readQueue(fieldset) {
  const { rate, ...fault } = inputsOf(fieldset);
  const what = fieldset.querySelector("select").value;
  const share = rate === undefined ? {} : { rate };
  return what === "" ? fault : { ...fault, strand: { what, ...share } };
}

function fields(faults) {
  return SIDES.map(({ side, title, about, swallow }) => {
    const fault = side === "api" ? faults : (faults.deliveries ?? {});
    return el(
      "fieldset",
      { "data-side": side },
      el("legend", {}, title),
      el("p", { class: "about" }, about),
      el(
        "div",
        { class: "numbers" },
        NUMBERS.map((field) => numberField(fault, field)),
      ),
      SWITCHES.filter((field) => swallow || field.name !== "swallow").map((field) =>
        switchField(fault, field),
      ),
    );
  });
}

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

/** Shows the faults in force above the list; nothing if there are none. */
export async function showTrouble() {
  const faults = await fetchFaults();
  const api = describe(faults);
  const deliveries = describe(faults.deliveries ?? {});
  const queue = describeQueue(faults);
  const banner = byId("trouble");
  banner.hidden = !api && !deliveries && !queue;
  byId("open-faults").classList.toggle("on", !banner.hidden);
  if (banner.hidden) return;
  banner.replaceChildren(
    el(
      "span",
      {},
      [api && `Convoy's API ${api}.`, deliveries && `The receiver ${deliveries}.`, queue]
        .filter(Boolean)
        .join(" "),
    ),
    el("button", { type: "button", onclick: () => putFaults({}) }, "End faults"),
  );
}

/** Opens the panel with the faults in force. */
export async function openFaults() {
  const faults = await fetchFaults();
  const dialog = byId("faults");
  const problem = el("p", { class: "reason", role: "alert" });
  const apply = async (wanted, what) => {
    try {
      await putFaults(wanted);
      dialog.close();
      say(what);
    } catch (error) {
      problem.textContent = error.message;
    }
  };
  const submit = (event) => {
    event.preventDefault();
    const [api, deliveries, queue] = dialog.querySelectorAll("fieldset");
    const atReceivers = readSide(deliveries);
    const hasDeliveries = Object.keys(atReceivers).length > 0;
    void apply(
      {
        ...readSide(api),
        ...readQueue(queue),
        ...(hasDeliveries ? { deliveries: atReceivers } : {}),
      },
      "Faults set",
    );
  };
  dialog.replaceChildren(
    el(
      "form",
      { onsubmit: submit },
      el(
        "header",
        {},
        el("h2", { id: "faults-title" }, "Faults"),
        el(
          "button",
          { type: "button", class: "quiet", "aria-label": "Close", onclick: () => dialog.close() },
          "✕",
        ),
      ),
      el(
        "p",
        { class: "about" },
        "They stay until you end them. They never affect the inbox itself.",
      ),
      el("div", { class: "sides" }, fields(faults), queueFields(faults)),
      problem,
      el(
        "footer",
        {},
        el("button", { type: "button", onclick: () => apply({}, "Faults ended") }, "End all"),
        el("button", { type: "submit", class: "primary" }, "Apply"),
      ),
    ),
  );
  dialog.showModal();
}
