// The caller's token: moved from the link's fragment in the address bar into memory, and kept nowhere else.

let token;

/** Takes the token out of the address, if a link has just put one there. Returns whether it did. */
export function takeToken() {
  const found = /^#token=([^&]+)/.exec(location.hash)?.[1];
  if (found === undefined) return false;
  token = found;
  history.replaceState(null, "", `${location.pathname}#/`);
  return true;
}

/** The token; undefined if the page was opened without one. */
export const bearer = () => token;

/** The page's owner and its expiry (ms), from the token; {} if there is no readable one. */
export function claims() {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(part), (one) => one.charCodeAt(0));
    const { sub, exp } = JSON.parse(new TextDecoder().decode(bytes));
    return { owner: String(sub), expiresAt: Number(exp) * 1000 };
  } catch {
    return {};
  }
}
