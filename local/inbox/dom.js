// Builds the page: elements from plain values. Text always stays text, whatever it contains.

/** An element of the page, by id. */
export const byId = (id) => document.getElementById(id);

/**
 * An element with properties (`class`, `on…` handlers, aria-…, data-…) and children, which are nodes or text;
 * null, undefined and false are left out.
 */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "checked" || name === "value") made[name] = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(
    ...children
      .flat(Number.POSITIVE_INFINITY)
      .filter((one) => one !== undefined && one !== null && one !== false),
  );
  return made;
}

let saidTimer;

/** Shows a brief message at the bottom of the page. */
export function say(text) {
  const said = byId("said");
  said.textContent = text;
  said.hidden = false;
  clearTimeout(saidTimer);
  saidTimer = setTimeout(() => {
    said.hidden = true;
  }, 3000);
}

/** Puts text on the clipboard and says so. */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`Copied ${what}`);
  } catch {
    say("The browser did not allow copying");
  }
}

/** A button that copies; `text` is a function, called only when needed. */
export function copyButton(label, what, text, properties = {}) {
  return el("button", { type: "button", ...properties, onclick: () => copy(text(), what) }, label);
}
