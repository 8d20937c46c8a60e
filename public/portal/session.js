// The caller's token: moved from the link's fragment into this tab's session storage, which a reload and a duplicate of
// the tab keep, no other tab and no other origin sees, and the browser forgets with the tab.

const KEY = "portal-token";

let token = stored();

function stored() {
  try {
    return sessionStorage.getItem(KEY) ?? undefined;
  } catch {
    return undefined; // Storage is blocked: the link works until the page is reloaded.
  }
}

/** Takes the token out of the address, if a link has just put one there. Returns whether it did. */
export function takeToken() {
  const found = /^#token=([^&]+)/.exec(location.hash)?.[1];
  if (found === undefined) return false;
  token = found;
  try {
    sessionStorage.setItem(KEY, token);
  } catch {}
  history.replaceState(null, "", `${location.pathname}#/`);
  return true;
}

/** The token; undefined if the page was opened without one. */
export const bearer = () => token;

/** The page's owner, its expiry (ms) and whether it is an operator's, from the token; {} if there is no readable one. */
export function claims() {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(part), (one) => one.charCodeAt(0));
    const { sub, exp, scope = "" } = JSON.parse(new TextDecoder().decode(bytes));
    const scopes = String(scope).split(" ");
    const isOperator = scopes.includes("operator") && !scopes.includes("portal");
    return { owner: String(sub), expiresAt: Number(exp) * 1000, isOperator };
  } catch {
    return {};
  }
}
