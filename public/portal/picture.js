// Deliveries as a small picture, one bar each, oldest at the left; bars can be pointed at.

import { count, exact, tone } from "./format.js";
import { html, nothing } from "./lit-html/lit-html.js";
import { change, state } from "./store.js";
import { tally } from "./words.js";

const inOrder = (deliveries) => [...deliveries].reverse();

const describe = (one) =>
  `${one.status}: ${one.event_type}, ${exact(one.created_at)}, ${count(one.attempts, "attempt")}`;

/** "97 of the last 100 succeeded". */
export function summed(deliveries) {
  const { all, good } = tally(deliveries);
  if (all === 1) return good === 1 ? "The only one succeeded" : "The only one has not succeeded";
  return good === all ? `All of the last ${all} succeeded` : `${good} of the last ${all} succeeded`;
}

/** Empty slots, so that the newest is always at the right. */
const unused = (slots, used) =>
  Array.from({ length: Math.max(0, slots - used) }, () => html`<i></i>`);

/** Only the bars, in the given number of slots, for a list. */
export function bars(deliveries, slots) {
  return html`<span class="bars small" role="img" aria-label=${summed(deliveries)} title=${summed(deliveries)}>
    ${unused(slots, deliveries.length)}
    ${inOrder(deliveries).map((one) => html`<i data-tone=${tone(one.status)}></i>`)}
  </span>`;
}

/**
 * The picture, in the given number of slots: a pointer or the arrow keys choose a bar, a click or Enter calls `onopen`
 * with its delivery.
 */
export function picture(deliveries, slots, onopen) {
  const all = inOrder(deliveries);
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
        (one, index) =>
          html`<i data-tone=${tone(one.status)} class=${index === at ? "pointed" : nothing}></i>`,
      )}
    </div>
    <figcaption>${chosen ? describe(chosen) : summed(deliveries)}</figcaption>
  </figure>`;
}
