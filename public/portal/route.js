// The address: `#/VIEW/ID?NAME=VALUE`. What a view shows is in it, so that a reload, a bookmark and Back find it again.

/** The view, id and query that an address names; without one, the deliveries. */
export function routeOf(hash) {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view, id] = path.split("/").map(decoded);
  return { view: view || "deliveries", id, query: Object.fromEntries(new URLSearchParams(search)) };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a view. Empty values are left out. */
export function href(view, id, query = {}) {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  const path = [view, id]
    .filter((part) => part !== undefined)
    .map(encodeURIComponent)
    .join("/");
  return `#/${path}${search.size > 0 ? `?${search}` : ""}`;
}

/**
 * The address with other values in its query, for a view that is drawn; undefined if the reader has left it. What is
 * drawn may be older than the address, as the browser tells of a change of it only afterwards.
 */
export function refined({ view, id }, patch) {
  const now = routeOf(location.hash);
  return now.view === view && now.id === id
    ? href(view, id, { ...now.query, ...patch })
    : undefined;
}
