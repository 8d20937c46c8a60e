// The caller's token: from the link's fragment into memory, and out of the address bar. It is kept nowhere else.

let token;

/** Takes the token out of the address, where a link has just put one. Gives whether it did. */
export function takeToken() {
  const found = /^#token=([^&]+)/.exec(location.hash)?.[1];
  if (found === undefined) return false;
  token = found;
  history.replaceState(null, "", `${location.pathname}#/`);
  return true;
}

/** The token; undefined where the page was opened without one. */
export const bearer = () => token;

/** Whose page this is and until when (ms), as the token says; {} where there is none to read. */
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
