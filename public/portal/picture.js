// Deliveries as a small picture, one bar each, oldest at the left; bars can be pointed at.
import { count, exact, number } from "./format.js";
import { html } from "./lit-html/lit-html.js";
import { change, state } from "./store.js";
import { toneOf } from "./words.js";

const describe = (one) =>
  `${one.status}: ${one.title ?? one.event_type}, ${exact(one.created_at)}, ${count(one.attempts, "try", "tries")}`;

/** "97 of the last 100 delivered, 2 on their way". Held ones do not count. */
export function summed(deliveries) {
  const all = deliveries.length;
  const good = deliveries.filter(({ status }) => status === "delivered").length;
  const open = deliveries.filter(({ status }) => ["pending", "sending"].includes(status)).length;
  const rest = open > 0 ? `, ${number(open)} on ${open === 1 ? "its" : "their"} way` : "";
  if (all === 0) return "Nothing has been sent yet";
  if (all === 1) return `The only one ${good === 1 ? "was" : "is not"} delivered${rest}`;
  return good === all
    ? `All of the last ${number(all)} delivered`
    : `${number(good)} of the last ${number(all)} delivered${rest}`;
}

/** Empty slots, so that the newest is always at the right. */
const unused = (slots, used) =>
  Array.from({ length: Math.max(0, slots - used) }, () => html`<i></i>`);

/**
 * The picture of deliveries, newest first, in the given number of slots: a pointer or the arrow keys choose a bar, a
 * click or Enter calls `onopen` with its delivery.
 */
export function picture(deliveries, slots, onopen) {
  const all = [...deliveries].reverse();
  const at = all.findIndex((one) => one.id === state.pointed);
  const point = (index) =>
    change({ pointed: all[Math.min(all.length - 1, Math.max(0, index))]?.id });
  const under = (event) => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    const size = Math.max(slots, all.length);
    return Math.floor(((event.clientX - left) / width) * size) - (size - all.length);
  };
  const keys = {
    ArrowLeft: () => point((at < 0 ? all.length : at) - 1),
    ArrowRight: () => point(at < 0 ? all.length - 1 : at + 1),
    Home: () => point(0),
    End: () => point(all.length - 1),
    Enter: () => at >= 0 && onopen(all[at]),
  };
  const chosen = all[at];
  return html`<figure class="picture">
    <div
      class="bars"
      role="slider"
      tabindex="0"
      aria-label="Deliveries in order, oldest first; Enter opens one"
      aria-valuemin="1"
      aria-valuemax=${all.length}
      aria-valuenow=${at < 0 ? all.length : at + 1}
      aria-valuetext=${describe(chosen ?? all.at(-1))}
      @pointermove=${(event) => point(under(event))}
      @pointerleave=${() => change({ pointed: undefined })}
      @blur=${() => change({ pointed: undefined })}
      @click=${(event) => onopen(all[Math.min(all.length - 1, Math.max(0, under(event)))])}
      @keydown=${(event) => {
        if (!keys[event.key]) return;
        event.preventDefault();
        keys[event.key]();
      }}
    >
      ${unused(slots, all.length)}
      ${all.map(
        (one, index) => html`<i data-tone=${toneOf(one.status)} ?data-pointed=${index === at}></i>`,
      )}
    </div>
    <figcaption>${chosen ? describe(chosen) : summed(deliveries)}</figcaption>
  </figure>`;
}
