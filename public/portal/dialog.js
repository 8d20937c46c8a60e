// What all dialogs share: opening and closing, the frame, errors beside the fields that they name.
import { html, nothing } from "./lit-html/lit-html.js";
import { change, state } from "./store.js";

/** Opens a dialog; `kind` chooses how it is drawn. */
export function openDialog(kind, more = {}) {
  change({ dialog: { kind, error: undefined, details: [], busy: false, ...more } });
}

/** Closes it. */
export const closeDialog = () => change({ dialog: undefined });

/** Submits the dialog; an error is shown in it, beside the fields that it names. */
async function submit(event, work) {
  event.preventDefault();
  const dialog = state.dialog;
  if (dialog.busy) return;
  const form = event.currentTarget;
  const data = new FormData(form);
  const values = Object.fromEntries([...data].map(([name, value]) => [name, String(value).trim()]));
  const set = (patch) => {
    if (state.dialog?.kind === dialog.kind) change({ dialog: { ...state.dialog, ...patch } });
  };
  set({ busy: true, error: undefined, details: [] });
  try {
    await work(values, data);
  } catch (error) {
    if (error.status === undefined) throw error;
    set({ error: error.message, details: error.details });
    // Unfold a wrong field if it is hidden; the first wrong field gets the focus.
    const wrong = form.querySelector("[aria-invalid=true]");
    wrong?.closest("details")?.setAttribute("open", "");
    wrong?.focus();
  } finally {
    set({ busy: false });
  }
}

/** What is wrong with a field, of the last answer. */
export const wrongWith = (name) =>
  state.dialog.details.find(({ path }) => path === name || path.startsWith(`${name}.`))?.message;

/** A labelled input, with a hint and what is wrong with its value. */
export function field(name, label, { about, value = "", wrong = wrongWith(name), ...input } = {}) {
  const described = [wrong && `${name}-wrong`, about && `${name}-about`].filter(Boolean).join(" ");
  return html`<div class="field">
    <label for=${name}>${label}</label>
    <input
      id=${name} name=${name} .value=${value} type="text" autocomplete="off" spellcheck="false"
      ?autofocus=${input.autofocus} inputmode=${input.inputmode ?? nothing} placeholder=${input.placeholder ?? nothing}
      aria-invalid=${wrong ? "true" : nothing} aria-describedby=${described || nothing}
    >
    ${wrong ? html`<p class="wrong" data-tone="bad" id="${name}-wrong">${wrong}</p>` : nothing}
    ${about ? html`<p class="hint" id="${name}-about">${about}</p>` : nothing}
  </div>`;
}

/** A dialog's frame: title, what went wrong, buttons. `isCautious`: Cancel has the focus. */
export function frame({
  title,
  work,
  content,
  button,
  isReady = true,
  isDanger = false,
  isCautious = false,
}) {
  const { error, details = [], busy } = state.dialog;
  // Errors of a field are shown beside it.
  const general = error && (details.length === 0 ? error : "Some fields need correcting.");
  return html`<form novalidate @submit=${(event) => void submit(event, isReady ? work : async () => {})}>
    <h2 id="dialog-title">${title}</h2>
    <div role="alert">${general ? html`<p class="note" data-tone="bad">${general}</p>` : nothing}</div>
    ${content}
    <footer>
      <button type="button" ?autofocus=${isCautious} @click=${closeDialog}>Cancel</button>
      <button type="submit" class=${isDanger ? "danger filled" : "primary"} aria-disabled=${busy || !isReady ? "true" : nothing}>${busy ? "One moment …" : button}</button>
    </footer>
  </form>`;
}

/**
 * Handles Escape: closes the dialog at once, not when the browser reports it closed; but a secret that is shown only
 * once must not get lost.
 */
export function onCancel(event) {
  event.preventDefault();
  if (state.dialog?.kind !== "secret") closeDialog();
}

/** Handles a close by the browser itself, which does not ask twice; by now another dialog may be open. */
export function onClose(event) {
  if (!event.currentTarget.open) closeDialog();
}
